"""What the paper claims, how it is measured here, and with which tolerance, fixed beforehand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from research_repro.paper import Claim, Result, Results, at_least, at_most


def _digits(value: Callable[[Result], float]) -> Callable[[Results], list[float]]:
    """The value for each seed, from the result of the cell `digits`."""
    return lambda results: [value(row) for row in results.of("digits")]


def _smallest_rise(row: Result) -> float:
    distances = [row["distance"][f"10 {eta}"] for eta in ("0", "0.2", "0.5", "1")]
    return min(b / a for a, b in pairwise(distances))


CLAIMS = (
    Claim(
        "posterior",
        "Section 4.1",
        "With η = 1 and all steps, the reverse process is DDPM's.",
        "equal mean and deviation of every step",
        _digits(lambda row: row["posterior_error"]),
        at_most(1e-9),
        note="The largest difference over all 1,000 times, in float64.",
    ),
    Claim(
        "deterministic",
        "Section 4.1",
        "With η = 0, the latent alone decides the image.",
        "no difference between samples with other noise",
        _digits(lambda row: row["consistency"]["other noise"]),
        at_most(0),
    ),
    Claim(
        "quality",
        "Table 1",
        "DDIM in 20 steps gives images as good as DDPM's in 1,000.",
        "distance 1.45 × (CIFAR-10: 6.84 against 4.73), 1.00 × in 50 steps",
        _digits(lambda row: row["distance"]["20 0"] / row["distance"]["1000 1"]),
        at_most(1.1, "×"),
    ),
    Claim(
        "speed",
        "Figure 4",
        "The time for a sample is proportional to the number of steps.",
        "10 to 50 × faster than 1,000 steps",
        lambda results: [row["ratio"] for row in results.of("speed")],
        at_least(20, "×"),
        note="Time of 1,000 steps divided by that of 20.",
    ),
    Claim(
        "few-steps",
        "Table 1",
        "In 20 steps, DDPM is much worse than DDIM.",
        "distance 2.7 × (CIFAR-10: 18.36 against 6.84)",
        _digits(lambda row: row["distance"]["20 1"] / row["distance"]["20 0"]),
        at_least(1.5, "×"),
    ),
    Claim(
        "eta",
        "Table 1",
        "In few steps, images get worse with every increase of η.",
        "at least 1.05 × from each η to the next (CIFAR-10, 10 steps)",
        _digits(_smallest_rise),
        at_least(0.95, "×"),
        note="The smallest rise between η = 0, 0.2, 0.5 and 1; 5 % are left to sampling noise.",
    ),
    Claim(
        "consistency",
        "Section 5.2, Figure 5",
        "From one latent, few and many steps give similar images.",
        "most high-level features are the same (a figure only)",
        _digits(lambda row: row["consistency"]["same latent"] / row["consistency"]["others"]),
        at_most(0.25, "×"),
        note="Mean square between 20 and 1,000 steps, by that between images of two latents.",
    ),
    Claim(
        "smooth",
        "Section 5.3, Figure 6",
        "Along an arc between two latents, the image changes gradually.",
        "a figure only",
        _digits(lambda row: row["interpolation"]["jump"]),
        at_most(0.5, "×"),
        note="The largest of ten changes, by the distance of the ends: 0.1 at best, about 1 for"
        " unrelated images.",
    ),
    Claim(
        "interpolation",
        "Section 5.3, Figure 6",
        "The image half-way is as plausible as the ends.",
        "a figure only",
        _digits(lambda row: row["interpolation"]["half-way"] / row["interpolation"]["ends"]),
        at_least(0.95, "×"),
        note="Mean confidence of the classifier. The middle of an arc is itself Gaussian noise.",
    ),
    Claim(
        "reconstruction",
        "Table 2",
        "Encoding with 1,000 steps and decoding reconstructs an image.",
        "mean squared error 0.0001 (CIFAR-10 test images in [0, 1])",
        _digits(lambda row: row["reconstruction"]["1000"]),
        at_most(0.001),
    ),
    Claim(
        "reconstruction-steps",
        "Table 2",
        "The error of reconstruction falls with the number of steps.",
        "140 × from 10 to 1,000 steps (0.014 to 0.0001)",
        _digits(lambda row: row["reconstruction"]["10"] / row["reconstruction"]["1000"]),
        at_least(10, "×"),
    ),
)
