"""The cells: `speed` measures time; `digits` trains a network and samples with every sampler."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from research_repro.paper import Cell, Result, Scale
from research_repro.papers.ddim import method
from research_repro.papers.ddim.digits import Digits
from research_repro.papers.ddim.method import Step, noise_schedule, reverse_step, sub_sequence
from research_repro.papers.ddim.network import Denoiser
from research_repro.runs.workspace import Workspace

TIMES = 1_000
ETAS = (0.0, 0.2, 0.5, 1.0)
_SMOKE = {"width": 16, "batch": 64, "rate": 4e-3, "steps": 2_000, "samples": 300, "short": [10, 20]}
_LONGER = {"width": 24, "rate": 3e-3, "steps": 6_000, "samples": 1_000, "short": [10, 20, 50]}
SETTINGS: dict[Scale, dict[str, Any]] = {"smoke": _SMOKE, "laptop": {**_SMOKE, **_LONGER}}


def cells(scale: Scale, seeds: Sequence[int]) -> list[Cell]:
    """Time comes first: it takes seconds, alone on the machine, and needs no trained network."""
    speed = [Cell("speed", seed, SETTINGS[scale], cores=0) for seed in seeds]
    return speed + [Cell("digits", seed, SETTINGS[scale]) for seed in seeds]


def run_cell(cell: Cell, workspace: Workspace) -> Result:
    """The result of a cell."""
    with torch.random.fork_rng():
        torch.manual_seed(cell.seed)
        network = Denoiser(cell.settings["width"])
        latents = torch.randn(cell.settings["samples"], 1, 8, 8)
    study = Study(network, latents)
    if cell.name == "speed":
        return study.seconds()
    digits, errors = Digits(), equation_errors()
    method.train(network, digits.training, study.alphas, cell, workspace)
    return {
        "step_error": float(torch.tensor([*errors.values()]).max()),  # NaN is the largest
        "errors": errors,
        "distance": study.distances(digits, cell.settings["short"]),
        "consistency": study.consistency(),
        "jump": study.interpolation(),
        "reconstruction": study.reconstruction(digits.test[:100]),
        "images": study.images,
    }


def equation_errors() -> dict[str, float]:
    """Largest differences of the method from closed forms, in float64, without a trained network.

    Of a step from DDPM and DDIM at all times: DDPM's equations 6 and 7 give mean and deviation of
    q(x_{t-1} | x_t, x_0); and, for images from N(0, 0.25), of whole samplings: the best estimate
    of the noise is then a multiple of x.
    """
    a = [1.0]  # DDPM, section 4: the product of 1 - beta
    for t in range(TIMES):
        a.append(a[-1] * (1 - 1e-4 - (0.02 - 1e-4) * t / (TIMES - 1)))
    alphas = torch.tensor(a, dtype=torch.float64)
    alpha, after = alphas[1:, None], alphas[:-1, None]
    beta = 1 - alpha / after
    image, x, noise = torch.randn(3, TIMES, 64, dtype=torch.float64)
    mean = (after.sqrt() * beta * image + (1 - beta).sqrt() * (1 - after) * x) / (1 - alpha)
    deviation = (beta * (1 - after) / (1 - alpha)).sqrt()
    step = (x, (x - alpha.sqrt() * image) / (1 - alpha).sqrt(), alpha, after)

    c = ((1 - alphas).sqrt() / (0.25 * alphas + 1 - alphas)).tolist()
    network, ours, one = _Multiple(c), noise_schedule(TIMES, torch.float64), torch.ones(1, 1, 1, 1)
    one, times, ten = one.double(), torch.arange(TIMES + 1), range(0, TIMES + 1, 100)
    signal, spread = (method.diffuse(i * one, ours, times, (1 - i) * one)[:, 0] for i in (1, 0))
    # Equation 13 from the noise to the image; Euler's method for equation 14 from it to the noise.
    s = [math.sqrt((1 - value) / value) for value in a]
    sampled, encoded = (
        math.prod(1 + (s[n] - s[t]) * c[max(t, 1)] * math.sqrt(a[t]) for t, n in pairwise(path))
        for path in (ten[::-1], ten)
    )
    images = [method.sample(network, one, ours, list(ten), eta) for eta in (0.0, 1.0)]
    ends, tau = torch.eye(2).view(2, 1, 1, 1, 2), sub_sequence(TIMES, 20)
    # A network that estimates 0, where the noise is 3 and the image 2
    loss = method.loss(_Multiple([0.0] * len(a)), 2 * one, ours, times[500:501], 3 * one)
    errors = {
        "ddpm": reverse_step(*step, 1.0, noise) - mean - deviation * noise,
        "ddim": reverse_step(*step, 0.0, noise) - reverse_step(*step, 0.0, -noise),
        "larger noise": method.larger_noise_step(*step, 0.0, noise) - mean - beta.sqrt() * noise,
        "forward": signal.flatten() - alphas.sqrt(),
        "forward noise": spread.flatten() - (1 - alphas).sqrt(),
        "loss": loss - 9,
        "times": torch.tensor([tau[0], tau[10] - TIMES // 4, tau[20] - TIMES]),
        "sample": images[0] - sampled / math.sqrt(a[-1]),
        "no noise": (images[0] == images[1]).float(),
        "encode": method.encode(network, one, ours, list(ten)) - encoded * math.sqrt(a[-1]),
        # A third of the way between perpendicular latents is 30 degrees.
        "arc": (method.slerp(ends[0], ends[1], 1 / 3).flatten()[0] - math.cos(math.pi / 6)).round(
            decimals=6
        ),
    }
    return {name: float(error.abs().max()) for name, error in errors.items()}


class _Multiple(nn.Module):
    """The estimate c[t] x."""

    def __init__(self, c: list[float]) -> None:
        super().__init__()
        self.c = torch.tensor(c, dtype=torch.float64)

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        return x * self.c[times].view(-1, 1, 1, 1)


@dataclass
class Study:
    """What is measured of a trained network. `images` collects rows of digits for the figures."""

    network: nn.Module
    latents: Tensor
    alphas: Tensor = field(default_factory=lambda: noise_schedule(TIMES))
    images: dict[str, dict[str, list[list[int]]]] = field(default_factory=dict)

    def sample(self, x: Tensor, steps: int, eta: float = 0.0, step: Step = reverse_step) -> Tensor:
        """Images from the latents x in this number of steps."""
        tau = sub_sequence(TIMES, steps)
        return method.sample(self.network, x, self.alphas, tau, eta, step)

    def seconds(self) -> dict[str, float]:
        """Figure 4: processor time of a batch of 64 by steps. The network need not be trained."""
        x, seconds = self.latents[:64], {}
        self.sample(x, 20)  # warms up
        for steps, eta in ((20, 0.0), (TIMES, 1.0)):
            start = time.process_time()  # of all threads; a busy machine does not change it
            self.sample(x, steps, eta)
            seconds[str(steps)] = time.process_time() - start
        return seconds

    def distances(self, digits: Digits, short: list[int]) -> dict[str, float]:
        """Table 1: the distance from the training digits by "steps eta", and of the test digits."""
        distances = {"test": digits.distance(digits.test)}
        for steps, eta in [*((steps, eta) for steps in short for eta in ETAS), (TIMES, 1.0)]:
            images = self.sample(self.latents, steps, eta)
            distances[f"{steps} {eta:g}"] = digits.distance(images)
            self._draw("samples", f"{steps} steps, η = {eta:g}", images)
        for steps in short:
            images = self.sample(self.latents, steps, 1.0, method.larger_noise_step)
            distances[f"{steps} hat"] = digits.distance(images)
        return distances

    def consistency(self) -> float:
        """Figure 5: mean square between 20 and all steps, by that between two latents' images."""
        x = self.latents[:100]
        _, few, _, full = (
            self._draw("steps", f"{steps} steps", self.sample(x, steps))
            for steps in (10, 20, 50, TIMES)
        )
        return float((few - full).square().mean() / (full.roll(1, 0) - full).square().mean())

    def interpolation(self) -> float:
        """Figure 6: largest of ten changes on the way between two latents, by their distance."""
        a, b = self.latents[:100].chunk(2)
        path = torch.stack([self.sample(method.slerp(a, b, i / 10), 50) for i in range(11)])
        for pair in range(5):
            self._draw("interpolation", f"pair {pair + 1}", path[:, pair])
        changes = path.diff(dim=0).flatten(2).norm(dim=2).amax(0)
        return float((changes / (path[10] - path[0]).flatten(1).norm(dim=1)).mean())

    def reconstruction(self, original: Tensor) -> dict[str, float]:
        """Table 2: mean squared error of images in [0, 1], encoded and decoded, by steps."""
        errors = {}
        self._draw("reconstruction", "original", original)
        for steps in (10, 20, 50, 100, TIMES):
            x = method.encode(self.network, original, self.alphas, sub_sequence(TIMES, steps))
            images = self._draw("reconstruction", f"{steps} steps", self.sample(x, steps))
            errors[str(steps)] = float(((images - original) / 2).square().mean())
        return errors

    def _draw(self, figure: str, label: str, images: Tensor) -> Tensor:
        levels = ((images[:12].clamp(-1, 1) + 1) * 8).round().int()  # 0 to 16, as in the data
        self.images.setdefault(figure, {})[label] = levels.flatten(1).tolist()
        return images
