"""Checks of exercise 1: what `mix` does with the scores of two searches."""

import warnings

import numpy as np

from rag_chatbot.search.fusion import DENSE_SHARE, mix

warnings.simplefilter("error")  # a division by zero is a warning in numpy


def scores(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def check_the_best_of_both_gets_one() -> None:
    mixed = mix(scores(0.8, 0.4), scores(12.0, 3.0))
    assert abs(mixed[0] - 1) < 1e-6, f"first in both searches should score 1, not {mixed[0]:.3f}"


def check_scale_does_not_matter() -> None:
    one, other = mix(scores(0.8, 0.4), scores(12, 3)), mix(scores(0.8, 0.4), scores(1200, 300))
    assert np.allclose(one, other), "BM25 scores a hundred times larger changed the result"


def check_the_shares() -> None:
    mixed = mix(scores(1.0, 0.0), scores(0.0, 1.0))
    wanted = [DENSE_SHARE, 1 - DENSE_SHARE]
    assert np.allclose(mixed, wanted), f"expected {wanted}, got {mixed.tolist()}"


def check_a_negative_cosine_counts_as_none() -> None:
    mixed = mix(scores(0.5, -0.5), scores(0.0, 0.0))
    assert mixed[1] == 0, f"a cosine of -0.5 should add 0, not {mixed[1]:.3f}"


def check_a_search_that_found_nothing() -> None:
    mixed = mix(scores(0.5, 0.25), scores(0.0, 0.0))
    assert np.isfinite(mixed).all(), "the result is not a number where BM25 found nothing"
    assert mixed[0] > mixed[1], "the order of the cosines is lost where BM25 found nothing"
