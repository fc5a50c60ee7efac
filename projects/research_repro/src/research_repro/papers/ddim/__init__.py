"""Denoising Diffusion Implicit Models: images in few steps from a diffusion model."""

from collections.abc import Sequence
from typing import Any

from research_repro.paper import Cell, Deviation, Paper, Result, Scale
from research_repro.papers.ddim.claims import CLAIMS
from research_repro.papers.ddim.figures import FIGURES
from research_repro.runs.workspace import Workspace

_SMOKE = {"width": 16, "batch": 64, "rate": 4e-3, "steps": 2_000, "samples": 300, "short": [10, 20]}
_LONGER = {"width": 24, "rate": 3e-3, "steps": 6_000, "samples": 1_000, "short": [10, 20, 50]}
_LAPTOP = {**_SMOKE, **_LONGER}
SETTINGS: dict[Scale, dict[str, Any]] = {"smoke": _SMOKE, "laptop": _LAPTOP, "paper": _LAPTOP}


def _cells(scale: Scale, seeds: Sequence[int]) -> list[Cell]:
    # Time comes first: it takes seconds, alone on the machine, and needs no trained network.
    speed = [Cell("speed", seed, SETTINGS[scale], cores=0) for seed in seeds]
    return speed + [Cell("digits", seed, SETTINGS[scale]) for seed in seeds]


def _run_cell(cell: Cell, workspace: Workspace) -> Result:
    from research_repro.papers.ddim.experiments import run_cell

    return run_cell(cell, workspace)


PAPER = Paper(
    name="ddim",
    title="Denoising Diffusion Implicit Models",
    authors="Jiaming Song, Chenlin Meng, Stefano Ermon",
    year=2020,
    url="https://arxiv.org/abs/2010.02502",
    summary="A diffusion model, trained as usual, can be sampled by a whole family of processes."
    " The deterministic one needs far fewer steps, and encodes images as latents that can be"
    " interpolated. Reproduced on the digits of scikit-learn.",
    claims=CLAIMS,
    cells=_cells,
    run_cell=_run_cell,
    seeds={"smoke": (0, 1), "laptop": (0, 1, 2), "paper": (0, 1, 2)},
    deviations=(
        Deviation(
            "CIFAR-10, CelebA, LSUN: 32 × 32 pixels and more, in colour",
            "1,297 training digits of 8 × 8 pixels",
            "Minutes on a CPU, without a download.",
        ),
        Deviation(
            "U-Net with attention, 35.7 million parameters",
            "U-Net of two resolutions, 70,000 or 150,000 parameters",
            "8 × 8 pixels.",
        ),
        Deviation(
            "FID: Inception features of 50,000 samples",
            "the same distance in a digit classifier's features, 300 or 1,000 samples",
            "Inception's features mean nothing on 8 × 8 pixels. Compare distances only here.",
        ),
    ),
    figures=FIGURES,
)
