"""Checks of exercise 1: what `mix` does with the scores of two searches."""

import warnings

import numpy as np

from rag_chatbot.search import fusion
from rag_chatbot.search.fusion import DENSE_SHARE


def expect(scores: list[float], cosines: list[float], bm25: list[float]) -> None:
    arrays = np.array(cosines, np.float32), np.array(bm25, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns of a division by zero
        actual = [round(score, 2) for score in fusion.mix(*arrays).tolist()]
    case = f"cosines {cosines}, BM25 {bm25}: expected"
    expected = [round(score, 2) for score in scores]
    assert np.allclose(actual, expected, atol=0.015), f"{case} {expected}, got {actual}"
    after = [array.tolist() for array in arrays]
    assert after == [cosines, bm25], f"{case} that they stay as they are, but now they are {after}"


def check_1_a_negative_cosine_counts_as_0() -> None:
    expect([DENSE_SHARE, 1 - DENSE_SHARE], [0.5, -0.5], [0, 4])


def check_2_scores_are_divided_by_the_best_of_their_search() -> None:
    dense, text = DENSE_SHARE, 1 - DENSE_SHARE
    expect([dense + text, dense / 2 + text / 4], [0.5, 0.25], [1200, 300])
    expect([dense, 0], [0.5, -1], [0, 0])
    expect([text / 2, text], [-0.5, -0.25], [3, 6])


def check_3_the_cosines_count_with_their_share_and_bm25_with_the_rest() -> None:
    try:
        for fusion.DENSE_SHARE in (DENSE_SHARE, 0.25):
            expect([fusion.DENSE_SHARE, 1 - fusion.DENSE_SHARE], [1, 0], [0, 1])
    finally:
        fusion.DENSE_SHARE = DENSE_SHARE
