"""Denoising Diffusion Implicit Models: many images from few steps of a diffusion model."""

from collections.abc import Sequence

from research_repro.paper import Cell, Deviation, Paper, Result, Scale
from research_repro.papers.ddim.claims import CLAIMS
from research_repro.papers.ddim.figures import FIGURES
from research_repro.runs.workspace import Workspace


def _cells(scale: Scale, seeds: Sequence[int]) -> list[Cell]:
    from research_repro.papers.ddim.experiments import cells

    return cells(scale, seeds)


def _run_cell(cell: Cell, workspace: Workspace) -> Result:
    from research_repro.papers.ddim.experiments import run_cell

    return run_cell(cell, workspace)


PAPER = Paper(
    name="ddim",
    title="Denoising Diffusion Implicit Models",
    authors="Jiaming Song, Chenlin Meng, Stefano Ermon",
    year=2020,
    url="https://arxiv.org/abs/2010.02502",
    summary="A diffusion model that was trained as usual can be sampled by other reverse processes,"
    " one of them deterministic: it needs far fewer steps, and its latents can be interpolated and"
    " computed from images. Here on the digits of scikit-learn.",
    claims=CLAIMS,
    cells=_cells,
    run_cell=_run_cell,
    seeds={"smoke": (0, 1), "laptop": (0, 1, 2), "paper": (0, 1, 2)},
    deviations=(
        Deviation(
            "CIFAR-10, CelebA and LSUN, 32 × 32 to 256 × 256 in colour",
            "1,297 training digits of 8 × 8 pixels",
            "Minutes on a CPU, without a download.",
        ),
        Deviation(
            "U-Net of DDPM, 35.7 million parameters",
            "residual perceptron, 1.3 million parameters",
            "64 pixels need no convolutions.",
        ),
        Deviation(
            "FID: Inception features, 50,000 samples",
            "Fréchet distance in a digit classifier's features, 500 or 1,000 samples",
            "Inception features mean nothing for 8 × 8 images. Distances compare only here.",
        ),
    ),
    figures=FIGURES,
)
