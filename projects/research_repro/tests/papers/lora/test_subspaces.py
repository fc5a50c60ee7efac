"""φ of eq. 4 and the norms of Table 7, on cases with a known answer."""

import pytest
import torch

from research_repro.papers.lora.subspaces import amplification, similarity


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_similarity_of_equal_subspaces_is_one() -> None:
    A = _random(4, 32)
    table = similarity(A, 3 * A)

    assert torch.allclose(table.diagonal(), torch.ones(4, dtype=table.dtype))
    assert torch.allclose(table[0], torch.ones(4, dtype=table.dtype))


def test_similarity_of_random_matrices_is_chance() -> None:
    values = [
        float(similarity(_random(8, 128, seed=2 * i), _random(64, 128, seed=2 * i + 1))[0, 7])
        for i in range(100)
    ]
    assert sum(values) / 100 == pytest.approx(8 / 128, rel=0.25)


def test_amplification_of_a_direction_that_the_weight_lacks() -> None:
    W = torch.diag(torch.tensor([10.0, 0.5, 0.5, 0.5]))
    delta = torch.zeros(4, 4)
    delta[1, 1] = 4.0

    norms = amplification(W, delta, rank=1)

    assert norms["in_delta"] == pytest.approx(0.5)
    assert norms["in_weight"] == pytest.approx(10)
    assert norms["delta_norm"] == pytest.approx(4)
