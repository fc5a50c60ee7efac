"""The digits and the distance of images from them."""

from __future__ import annotations

import pytest
import torch

from research_repro.papers.ddim.digits import Digits, frechet_distance


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits()


def test_classifier_recognises_test_digits(digits):
    assert (len(digits.training), len(digits.test)) == (1_297, 500)
    assert digits.accuracy > 0.95


def test_real_digits_are_nearer_than_noisy_ones(digits):
    noise = torch.randn(digits.test.shape, generator=torch.Generator().manual_seed(0))
    distances = [digits.distance(digits.test + scale * noise) for scale in (0, 0.3, 1)]
    assert 4 * distances[0] < distances[1] < distances[2]


def test_frechet_distance_counts_means_and_spreads():
    points = torch.randn(4_000, 3, generator=torch.Generator().manual_seed(0)).double()
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-6)
    # Doubling the deviation of each of three dimensions adds (2 - 1)² for each.
    assert frechet_distance(points, 2 * points) == pytest.approx(3, rel=0.05)
