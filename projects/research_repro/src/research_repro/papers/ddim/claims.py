"""What the paper claims, how it is measured here, and with which tolerance, fixed beforehand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from research_repro.paper import Claim, Result, Results, Scale, at_least, at_most

LAPTOP: tuple[Scale, ...] = ("laptop",)
SMALL = (
    "2026-11-27: the small network's own errors dominate; fresh noise (η = 1) corrects some of"
    " them, which favours DDPM."
)


def _digits(value: Callable[[Result], float]) -> Callable[[Results], list[float]]:
    """The value for each seed, from the result of the cell `digits`."""
    return lambda results: [value(row) for row in results.of("digits")]


def _smallest_rise(row: Result) -> float:
    distances = [row["distance"][f"10 {eta}"] for eta in ("0", "0.2", "0.5", "1")]
    return float(min(after / before for before, after in pairwise(distances)))


CLAIMS = (
    Claim(
        "equations",
        "Section 4.1",
        "With η = 1 and all steps, it is DDPM; with η = 0, it is deterministic.",
        "equal mean and deviation; no noise",
        _digits(lambda row: row["step_error"]),
        at_most(1e-9),
    ),
    Claim(
        "quality",
        "Table 1",
        "DDIM in 20 steps gives images as good as DDPM's in 1,000.",
        "distance 1.45 × (CIFAR-10: 6.84, 4.73); in 50 steps 0.99 ×",
        _digits(lambda row: row["distance"]["20 0"] / row["distance"]["1000 1"]),
        at_most(1.1, "×"),
        tested_at=LAPTOP,
        not_reproduced=SMALL,
    ),
    Claim(
        "speed",
        "Figure 4",
        "Time is proportional to the number of steps: 20 are much faster than 1,000.",
        "10 to 50 × faster",
        lambda results: [row["1000"] / row["20"] for row in results.of("speed")],
        at_least(20, "×"),
    ),
    Claim(
        "few-steps",
        "Table 1",
        "In 20 steps, DDPM is much worse than DDIM.",
        "distance 2.7 × (CIFAR-10: 18.36, 6.84)",
        _digits(lambda row: row["distance"]["20 1"] / row["distance"]["20 0"]),
        at_least(1.5, "×"),
        tested_at=LAPTOP,
        not_reproduced=SMALL,
    ),
    Claim(
        "eta",
        "Table 1",
        "In 10 steps, images get worse from η = 0 to 0.2, 0.5 and 1.",
        "the smallest rise is 1.05 × (CIFAR-10: 13.36, 14.04, 16.66, 41.07)",
        _digits(_smallest_rise),
        at_least(0.95, "×"),
        tested_at=LAPTOP,
        note="The smoke scale's 300 samples are too few to tell neighbours in η apart.",
    ),
    Claim(
        "consistency",
        "Section 5.2, Figure 5",
        "From one latent, few and many steps give similar images.",
        "a figure only",
        _digits(lambda row: row["consistency"]),
        at_most(0.25, "×"),
        note="Mean square between 20 and 1,000 steps, by that between images of two latents.",
    ),
    Claim(
        "interpolation",
        "Section 5.3, Figure 6",
        "On the arc between two latents, the image changes gradually.",
        "a figure only",
        _digits(lambda row: row["jump"]),
        at_most(0.5, "×"),
        note="Largest of ten changes by the distance of the ends; unrelated images would have 1.",
    ),
    Claim(
        "reconstruction",
        "Table 2",
        "Encoding and decoding in 1,000 steps reconstructs an image.",
        "mean squared error 0.0001 (CIFAR-10 test images in [0, 1])",
        _digits(lambda row: row["reconstruction"]["1000"]),
        at_most(0.001),
    ),
    Claim(
        "reconstruction-steps",
        "Table 2",
        "The error of reconstruction falls with the number of steps.",
        "140 × from 10 to 1,000 steps (0.014, 0.0001)",
        _digits(lambda row: row["reconstruction"]["10"] / row["reconstruction"]["1000"]),
        at_least(10, "×"),
    ),
)
