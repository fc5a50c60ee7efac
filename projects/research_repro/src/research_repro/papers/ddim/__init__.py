"""Denoising Diffusion Implicit Models: images in few steps from a diffusion model."""

from pathlib import Path

from research_repro.paper import Deviation, Paper
from research_repro.papers.ddim.cells import cells, run_cell
from research_repro.papers.ddim.claims import CLAIMS
from research_repro.papers.ddim.figures import FIGURES

PAPER = Paper(
    folder=Path(__file__).parent,
    name="ddim",
    title="Denoising Diffusion Implicit Models",
    authors="Jiaming Song, Chenlin Meng, Stefano Ermon",
    year=2020,
    url="https://arxiv.org/abs/2010.02502",
    summary="A diffusion model, trained as usual, can be sampled by a whole family of processes."
    " The deterministic one needs far fewer steps, and encodes images as latents that can be"
    " interpolated. Reproduced on the digits of scikit-learn.",
    claims=CLAIMS,
    cells=cells,
    run_cell=run_cell,
    seeds={"smoke": (0, 1), "laptop": (0, 1, 2)},
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
    libraries=("torch", "numpy", "scikit-learn"),
)
