"""The equations of DDIM, against closed forms and a network that is exact for Gaussian data."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from research_repro.paper import Cell
from research_repro.papers.ddim.cells import equation_errors
from research_repro.papers.ddim.method import (
    diffuse,
    encode,
    loss,
    noise_schedule,
    sample,
    slerp,
    sub_sequence,
    train,
)
from research_repro.papers.ddim.network import Denoiser
from research_repro.runs.workspace import Workspace

ALPHAS = noise_schedule(200)
VARIANCE = 0.25


class GaussianNoise(nn.Module):
    """The best prediction of the noise if images are Gaussian with variance 0.25."""

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        alpha = ALPHAS[times].view(-1, 1, 1, 1)
        return (1 - alpha).sqrt() / (alpha * VARIANCE + 1 - alpha) * x


def noise(count: int = 200, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=Generator().manual_seed(seed))


def test_method_equals_closed_forms():
    assert max(equation_errors().values()) < 1e-9


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("steps", [1, 7, 150, 200])
def test_sub_sequence_rises_from_image_to_noise(steps, power):
    tau = sub_sequence(200, steps, power)
    assert (tau[0], tau[-1], len(tau)) == (0, 200, steps + 1)
    assert all(before < after for before, after in itertools.pairwise(tau))


def test_loss_of_exact_prediction_is_its_remaining_variance():
    images, times = VARIANCE**0.5 * noise(2000, 1), torch.full((2000,), 50)
    alpha = ALPHAS[50]
    expected = alpha * VARIANCE / (alpha * VARIANCE + 1 - alpha)
    value = loss(GaussianNoise(), images, ALPHAS, times, noise(2000))
    assert float(value) == pytest.approx(float(expected), rel=0.03)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_sample_from_exact_network_has_the_variance_of_the_data(eta):
    # 200 times end at alpha = 0.13, so latents are drawn as the forward process makes them.
    start = diffuse(VARIANCE**0.5 * noise(seed=1), ALPHAS, torch.full((200,), 200), noise())
    images = sample(GaussianNoise(), start, ALPHAS, sub_sequence(200, 200), eta)
    assert float(images.var()) == pytest.approx(VARIANCE, rel=0.1)


def test_encode_is_undone_by_sample_the_better_the_more_steps():
    images = VARIANCE**0.5 * noise()
    errors = []
    for steps in (5, 20, 200):
        tau = sub_sequence(200, steps)
        latents = encode(GaussianNoise(), images, ALPHAS, tau)
        errors.append(float((sample(GaussianNoise(), latents, ALPHAS, tau, 0.0) - images).std()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.01


def test_slerp_ends_at_the_latents_and_preserves_their_variance():
    a, b = noise(), noise(seed=1)
    assert torch.allclose(slerp(a, b, 0.0), a, atol=1e-5)
    assert torch.allclose(slerp(a, b, 1.0), b, atol=1e-5)
    assert float(slerp(a, b, 0.5).var()) == pytest.approx(1, abs=0.05)


def test_interrupted_training_resumes_with_equal_weights(tmp_path: Path):
    cell = Cell("digits", 0, {"steps": 6, "batch": 4, "rate": 1e-3})

    def weights(folder: str, stop: int | None) -> list[Tensor]:
        torch.manual_seed(0)
        network, ticks = Denoiser(8), itertools.count(step=60)  # a checkpoint after every step

        def clock() -> float:
            if (tick := next(ticks)) == stop:
                raise KeyboardInterrupt
            return float(tick)

        workspace = Workspace(tmp_path / folder, tmp_path, clock=clock)
        train(network, noise(10), ALPHAS, cell, workspace)
        return list(network.state_dict().values())

    with pytest.raises(KeyboardInterrupt):
        weights("interrupted", stop=300)
    pairs = zip(weights("interrupted", None), weights("whole", None), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
