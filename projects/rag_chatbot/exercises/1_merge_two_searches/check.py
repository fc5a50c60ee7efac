"""Checks of exercise 1: `mix` merges the scores of two searches."""

import warnings

import numpy as np

from rag_chatbot.search import retrieve

SHARE = 0.6


def expect(
    scores: list[float], cosines: list[float], bm25: list[float], share: float = SHARE
) -> None:
    arrays = np.array(cosines, np.float32), np.array(bm25, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns about a division by zero
        result = retrieve.mix(*arrays, share)
    case = f"mix() of cosines {cosines}, BM25 {bm25} and share {share}"
    close = isinstance(result, np.ndarray) and np.allclose(result, scores, atol=0.01)
    assert close, f"{case}: expected {np.round(scores, 2)}, got {result}"
    after = [array.tolist() for array in arrays]
    assert after == [cosines, bm25], f"{case} changed its arguments to {after[0]} and {after[1]}"


def check_1_negative_cosines_count_as_0() -> None:
    expect([SHARE, 1 - SHARE], [0.5, -0.5], [0, 4])


def check_2_each_array_is_divided_by_its_largest_score() -> None:
    dense, text = SHARE, 1 - SHARE
    expect([dense + text, dense / 2 + text / 4], [0.5, 0.25], [1200, 300])
    expect([dense, 0], [0.5, -1], [0, 0])
    expect([text / 2, text], [-0.5, -0.25], [3, 6])


def check_3_cosines_are_weighted_by_share_and_bm25_by_the_rest() -> None:
    for share in (SHARE, 0.25):
        expect([share, 1 - share], [1, 0], [0, 1], share)
