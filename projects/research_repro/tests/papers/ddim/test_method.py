"""The equations of DDIM against closed forms; a killed training continues."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from research_repro.paper import Cell
from research_repro.papers.ddim.cells import equation_errors
from research_repro.papers.ddim.method import noise_schedule, sub_sequence, train
from research_repro.papers.ddim.network import Denoiser
from research_repro.runs.workspace import Workspace


def test_method_equals_closed_forms():
    assert max(equation_errors().values()) < 1e-9


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("steps", [1, 7, 150, 200])
def test_sub_sequence_rises_from_image_to_noise(steps, power):
    tau = sub_sequence(200, steps, power)
    assert (tau[0], tau[-1], len(tau)) == (0, 200, steps + 1)
    assert all(before < after for before, after in itertools.pairwise(tau))


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
        train(network, torch.randn(10, 1, 8, 8), noise_schedule(200), cell, workspace)
        return list(network.state_dict().values())

    with pytest.raises(KeyboardInterrupt):
        weights("interrupted", stop=300)
    pairs = zip(weights("interrupted", None), weights("whole", None), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
