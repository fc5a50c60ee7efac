"""Checks of exercise 1: what `mix` does with the scores of two searches."""

import warnings
from collections.abc import Sequence

import numpy as np

from rag_chatbot.search import fusion
from rag_chatbot.search.fusion import DENSE_SHARE

warnings.simplefilter("error")  # numpy only warns of a division by zero


def expect(scores: Sequence[float], cosines: Sequence[float], bm25: Sequence[float]) -> None:
    actual = fusion.mix(np.array(cosines, np.float32), np.array(bm25, np.float32))
    expected = [round(score, 3) for score in scores]
    case = f"cosines {cosines} and BM25 {bm25}: expected {expected}"
    assert isinstance(actual, np.ndarray), f"{case} as an array, got {actual!r}"
    result = [round(score, 3) for score in actual.ravel().tolist()]
    assert actual.shape == (len(expected),), f"{case}, got {result}"
    assert np.allclose(actual, scores, atol=1e-4), f"{case}, got {result}"


def check_1_a_negative_cosine_counts_as_0() -> None:
    expect([DENSE_SHARE, 1 - DENSE_SHARE], [0.5, -0.5], [0, 4])


def check_1_the_arguments_stay_as_they_are() -> None:
    cosines, bm25 = np.array([0.5, -0.5], np.float32), np.array([0, 4], np.float32)
    fusion.mix(cosines, bm25)
    actual = (cosines.tolist(), bm25.tolist())
    assert actual == ([0.5, -0.5], [0, 4]), (
        f"cosines and BM25 afterwards: expected ([0.5, -0.5], [0, 4]), got {actual}"
    )


def check_2_scores_are_divided_by_the_best_of_their_search() -> None:
    dense, text = DENSE_SHARE, 1 - DENSE_SHARE
    expect([dense + text, dense / 2 + text / 4], [0.8, 0.4], [12, 3])
    expect([dense + text, dense / 2 + text / 4], [0.8, 0.4], [1200, 300])
    expect([dense, 0], [0.4, -0.8], [0, 0])


def check_2_a_search_without_results_adds_0() -> None:
    expect([DENSE_SHARE, DENSE_SHARE / 2], [0.5, 0.25], [0, 0])
    expect([(1 - DENSE_SHARE) / 2, 1 - DENSE_SHARE], [-0.5, -0.2], [3, 6])


def check_3_the_cosines_count_with_their_share_and_bm25_with_the_rest() -> None:
    expect([DENSE_SHARE, 1 - DENSE_SHARE], [1, 0], [0, 1])


def check_3_a_change_of_dense_share_changes_the_result() -> None:
    fusion.DENSE_SHARE = 0.25
    try:
        expect([0.25, 0.75], [1, 0], [0, 1])
    finally:
        fusion.DENSE_SHARE = DENSE_SHARE
