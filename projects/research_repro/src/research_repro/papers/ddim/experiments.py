"""The cells: `speed` measures time; `digits` trains a network and draws samples in all ways.

Both run everything on one thread. `update` replaces equation 12, so that a test can break it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from research_repro.paper import Cell, Result, Scale
from research_repro.papers.ddim.digits import Digits
from research_repro.papers.ddim.method import (
    Step,
    encode,
    noise_schedule,
    reverse_step,
    sample,
    slerp,
    sub_sequence,
    train,
)
from research_repro.papers.ddim.network import Denoiser
from research_repro.runs.workspace import Workspace

ETAS = (0.0, 0.2, 0.5, 1.0)
_COMMON = {"times": 1_000, "width": 256, "blocks": 3, "batch": 128, "rate": 1e-3}
SETTINGS: dict[Scale, dict[str, Any]] = {
    "smoke": {**_COMMON, "steps": 3_000, "samples": 500, "short": [10, 20]},
    "laptop": {**_COMMON, "steps": 12_000, "samples": 1_000, "short": [10, 20, 50, 100]},
}


def cells(scale: Scale, seeds: Sequence[int]) -> list[Cell]:
    """The cells of a scale. Those of time come first: they take seconds, alone on the machine."""
    settings = SETTINGS["laptop" if scale == "paper" else scale]
    speed = [Cell("speed", seed, settings, cores=0) for seed in seeds]
    return speed + [Cell("digits", seed, settings) for seed in seeds]


def run_cell(cell: Cell, workspace: Workspace, update: Step = reverse_step) -> Result:
    """The result of a cell."""
    settings = cell.settings
    with torch.random.fork_rng():
        torch.manual_seed(cell.seed)
        network = Denoiser(settings["width"], settings["blocks"])
    alphas = noise_schedule(settings["times"])
    if cell.name == "speed":
        return measure_speed(network, alphas)
    digits = Digits()
    train(network, digits.training, alphas, cell, workspace)
    study = Study(network, alphas, digits, cell, update)
    return {
        "posterior_error": posterior_error(update),
        "distance": study.distances(),
        "consistency": study.consistency(),
        "interpolation": study.interpolation(),
        "reconstruction": study.reconstruction(),
        "images": study.images,
    }


def measure_speed(network: nn.Module, alphas: Tensor) -> Result:
    """Seconds for a batch of 64 images with 20 steps and with all. The weights don't matter."""
    last = len(alphas) - 1
    x = torch.randn(64, 1, 8, 8, generator=Generator().manual_seed(0))
    sample(network, x, alphas, sub_sequence(last, 20))  # warms up
    seconds = {}
    for steps, eta in ((20, 0.0), (last, 1.0)):
        start = time.perf_counter()
        sample(network, x, alphas, sub_sequence(last, steps), eta)
        seconds[str(steps)] = time.perf_counter() - start
    return {"seconds": seconds, "ratio": seconds[str(last)] / seconds["20"]}


def posterior_error(update: Step = reverse_step) -> float:
    """Largest difference of equation 12 with eta = 1 from DDPM's posterior, in float64.

    q(x_{t-1} | x_t, x_0) is DDPM's equations 6 and 7: compared are its mean and its deviation.
    """
    alphas = noise_schedule(1_000, torch.float64)[:, None]
    alpha, before = alphas[1:], alphas[:-1]  # all times at once
    beta = 1 - alpha / before
    image, x = torch.randn(2, 1_000, 64, dtype=torch.float64)
    mean = (before.sqrt() * beta * image + (1 - beta).sqrt() * (1 - before) * x) / (1 - alpha)
    deviation = (beta * (1 - before) / (1 - alpha)).sqrt()

    epsilon = (x - alpha.sqrt() * image) / (1 - alpha).sqrt()
    ours = update(x, epsilon, alpha, before, 1.0, torch.zeros(1), "sigma")
    noise = update(x, epsilon, alpha, before, 1.0, torch.ones(1), "sigma") - ours
    return float(torch.maximum((ours - mean).abs(), (noise - deviation).abs()).max())


class Study:
    """What is measured of one trained network. `images` collects rows of digits for the figures."""

    def __init__(
        self, network: nn.Module, alphas: Tensor, digits: Digits, cell: Cell, update: Step
    ) -> None:
        self.network, self.alphas, self.digits, self.update = network, alphas, digits, update
        self.last, self.short = len(alphas) - 1, cell.settings["short"]
        generator = Generator().manual_seed(1_000 + cell.seed)
        self.latents = torch.randn(cell.settings["samples"], 1, 8, 8, generator=generator)
        self.images: dict[str, list[dict[str, Any]]] = {}

    def sample(self, x: Tensor, steps: int, eta: float = 0.0, **options: Any) -> Tensor:
        """Images from the latents x in this number of steps."""
        tau = sub_sequence(self.last, steps)
        return sample(self.network, x, self.alphas, tau, eta, step=self.update, **options)

    def distances(self) -> dict[str, float]:
        """Table 1: the distance from the training digits by "steps eta", and of the test digits."""
        distances = {"test": self.digits.distance(self.digits.test)}
        rows = [(steps, eta) for steps in self.short for eta in ETAS] + [(self.last, 1.0)]
        for steps, eta in rows:
            images = self.sample(self.latents, steps, eta)
            distances[f"{steps} {eta:g}"] = self.digits.distance(images)
            self._draw("samples", f"{steps} steps, η = {eta:g}", images)
        for steps in self.short:
            images = self.sample(self.latents, steps, 1.0, variance="sigma-hat")
            distances[f"{steps} hat"] = self.digits.distance(images)
        return distances

    def consistency(self) -> dict[str, float]:
        """Figure 5: difference between 20 and all steps from one latent, and of two latents.

        Differences are mean squares over pixels.
        """
        x = self.latents[:100]
        for steps in (10, 20, 50, self.last):
            self._draw("steps", f"{steps} steps", images := self.sample(x, steps))
        few = self.sample(x, 20)
        return {
            "same latent": float((few - images).square().mean()),
            "others": float((images.roll(1, 0) - images).square().mean()),
            "other noise": float((self.sample(x, 20, seed=1) - few).abs().max()),
        }

    def interpolation(self) -> dict[str, float]:
        """Figure 6: eleven points between pairs of latents, in 50 steps."""
        first, second = self.latents[:100].chunk(2)
        path = torch.stack(
            [self.sample(slerp(first, second, i / 10), 50) for i in range(11)]
        ).clamp(-1, 1)
        for pair in range(5):
            self._draw("interpolation", f"pair {pair + 1}", path[:, pair])
        jumps = path.diff(dim=0).flatten(2).norm(dim=2)
        confidence = self.digits.probabilities(path.flatten(0, 1)).max(1).values.view(11, -1)
        blend = self.digits.probabilities((path[0] + path[10]) / 2).max(1).values
        return {
            "jump": float(
                (jumps.max(0).values / (path[10] - path[0]).flatten(1).norm(dim=1)).mean()
            ),
            "half-way": float(confidence[5].mean()),
            "ends": float(confidence[[0, 10]].mean()),
            "blend": float(blend.mean()),
        }

    def reconstruction(self) -> dict[str, float]:
        """Table 2: mean squared error of test digits in [0, 1], encoded and decoded, by steps."""
        original, errors = self.digits.test[:100], {}
        self._draw("reconstruction", "original", original)
        for steps in (10, 20, 50, 100, self.last):
            tau = sub_sequence(self.last, steps)
            again = self.sample(encode(self.network, original, self.alphas, tau), steps)
            errors[str(steps)] = float(((again - original) / 2).square().mean())
            self._draw("reconstruction", f"{steps} steps", again)
        return errors

    def _draw(self, figure: str, label: str, images: Tensor) -> None:
        levels = ((images[:12].clamp(-1, 1) + 1) * 8).round().int()  # 0 to 16, as in the data
        self.images.setdefault(figure, []).append(
            {"label": label, "images": levels.flatten(1).tolist()}
        )
