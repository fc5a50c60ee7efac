"""The cells: `speed` measures time; `digits` trains a network and samples from it in all ways."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from research_repro.paper import Cell, Result
from research_repro.papers.ddim import method
from research_repro.papers.ddim.digits import Digits
from research_repro.papers.ddim.method import Step, noise_schedule, reverse_step, sub_sequence
from research_repro.papers.ddim.network import Denoiser
from research_repro.runs.workspace import Workspace

TIMES = 1_000
ETAS = (0.0, 0.2, 0.5, 1.0)


def run_cell(cell: Cell, workspace: Workspace, step: Step = reverse_step) -> Result:
    """The result of a cell. `step` replaces equation 12, so that a test can break it."""
    with torch.random.fork_rng():
        torch.manual_seed(cell.seed)
        network = Denoiser(cell.settings["width"])
        latents = torch.randn(cell.settings["samples"], 1, 8, 8)
    study = Study(network, latents, step)
    if cell.name == "speed":
        return study.seconds()
    digits = Digits()
    method.train(network, digits.training, study.alphas, cell, workspace)
    return {
        "step_error": step_error(step),
        "accuracy": digits.accuracy,
        "distance": study.distances(digits, cell.settings["short"]),
        "consistency": study.consistency(),
        "jump": study.interpolation(),
        "reconstruction": study.reconstruction(digits.test[:100]),
        "images": study.images,
    }


def step_error(step: Step = reverse_step) -> float:
    """Largest difference, over all times and in float64, of a step with eta = 1 from DDPM.

    DDPM's equations 6 and 7 give mean and deviation of q(x_{t-1} | x_t, x_0). A step with eta = 0
    is compared with itself under other noise.
    """
    alphas = noise_schedule(TIMES, torch.float64)[:, None]
    alpha, after = alphas[1:], alphas[:-1]
    beta = 1 - alpha / after
    image, x, noise = torch.randn(3, TIMES, 64, dtype=torch.float64)
    mean = (after.sqrt() * beta * image + (1 - beta).sqrt() * (1 - after) * x) / (1 - alpha)
    deviation = (beta * (1 - after) / (1 - alpha)).sqrt()

    epsilon = (x - alpha.sqrt() * image) / (1 - alpha).sqrt()
    ddpm = step(x, epsilon, alpha, after, 1.0, noise) - (mean + deviation * noise)
    ddim = step(x, epsilon, alpha, after, 0.0, noise) - step(x, epsilon, alpha, after, 0.0, -noise)
    return float(torch.maximum(ddpm.abs(), ddim.abs()).max())


@dataclass
class Study:
    """What is measured of a trained network. `images` collects rows of digits for the figures."""

    network: nn.Module
    latents: Tensor
    step: Step = reverse_step
    alphas: Tensor = field(default_factory=lambda: noise_schedule(TIMES))
    images: dict[str, dict[str, list[list[int]]]] = field(default_factory=dict)

    def sample(self, x: Tensor, steps: int, eta: float = 0.0, step: Step | None = None) -> Tensor:
        """Images from the latents x in this number of steps."""
        tau = sub_sequence(TIMES, steps)
        return method.sample(self.network, x, self.alphas, tau, eta, step or self.step)

    def seconds(self) -> dict[str, float]:
        """Figure 4: the time of a batch of 64 by steps. The network need not be trained."""
        x, seconds = self.latents[:64], {}
        self.sample(x, 20)  # warms up
        for steps, eta in ((20, 0.0), (TIMES, 1.0)):
            start = time.perf_counter()
            self.sample(x, steps, eta)
            seconds[str(steps)] = time.perf_counter() - start
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
