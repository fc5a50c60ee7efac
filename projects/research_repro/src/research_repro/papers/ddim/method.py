"""Denoising diffusion implicit models (Song, Meng, Ermon 2020), in the order of the paper.

    alphas = noise_schedule(1000)
    train(network, images, alphas, cell, workspace)              # once; network predicts the noise
    sample(network, noise, alphas, sub_sequence(1000, 20))       # 20 steps instead of 1,000

Images lie in [-1, 1] and have the shape (batch, channels, height, width). As in the paper, `alpha`
is the share of the image in the variance of x_t: the product of (1 - beta), which the DDPM paper
writes with a bar. `network(x, t)` estimates the noise in x at the times t, shape (batch,).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from research_repro.paper import Cell
from research_repro.runs.workspace import Workspace

Noise = Literal["sigma", "sigma-hat"]
Step = Callable[[Tensor, Tensor, Tensor, Tensor, float, Tensor, Noise], Tensor]


# Section 2: the forward process, which turns an image into noise


def noise_schedule(times: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """alpha_0 = 1 to alpha_T, shape (T + 1,), for beta from 1e-4 to 0.02 as in DDPM.

    >>> noise_schedule(1000)[[0, 1, 1000]]
    tensor([1.0000e+00, 9.9990e-01, 4.0358e-05])
    """
    beta = torch.linspace(1e-4, 0.02, times, dtype=torch.float64)
    return torch.cat([torch.ones(1), torch.cumprod(1 - beta, 0)]).to(dtype)


def diffuse(images: Tensor, alphas: Tensor, times: Tensor, noise: Tensor) -> Tensor:
    """x_t given x_0, in one step (equation 4). `times` has the shape (batch,)."""
    alpha = alphas[times].view(-1, 1, 1, 1)
    return alpha.sqrt() * images + (1 - alpha).sqrt() * noise


def loss(
    network: nn.Module, images: Tensor, alphas: Tensor, times: Tensor, noise: Tensor
) -> Tensor:
    """Mean squared error of the predicted noise (equation 5 with gamma = 1, DDPM's L_simple).

    Theorem 1: up to weights by time, this is the objective for every sigma. One network therefore
    serves all of the reverse processes below.
    """
    return mse_loss(network(diffuse(images, alphas, times, noise), times), noise)


def train(network: nn.Module, images: Tensor, alphas: Tensor, cell: Cell, ws: Workspace) -> None:
    """Minimise the loss, then load the moving average of the weights into the network.

    `cell.settings` has `steps`, `batch` and `rate`; the learning rate falls linearly to 0.
    """
    steps, rate = cell.settings["steps"], cell.settings["rate"]
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.995))
    optimizer = torch.optim.Adam(network.parameters(), rate, fused=True)
    for step in ws.steps(cell, steps, network=network, average=average, optimizer=optimizer):
        generator = Generator().manual_seed(cell.seed * 1_000_003 + step)
        size = (cell.settings["batch"],)
        batch = images[torch.randint(len(images), size, generator=generator)]
        times = torch.randint(1, len(alphas), size, generator=generator)
        noise = torch.randn(batch.shape, generator=generator)

        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        loss(network, batch, alphas, times, noise).backward()
        optimizer.step()
        average.update_parameters(network)
    network.load_state_dict(average.module.state_dict())
    network.eval()


# Sections 4.1 and 4.2: the reverse processes, and fewer steps


def sub_sequence(
    times: int, steps: int, kind: Literal["linear", "quadratic"] = "quadratic"
) -> list[int]:
    """The times tau that are visited, from 0 (the image) to T (noise): steps + 1 numbers.

    Appendix D.2: tau_i = floor(c i) or floor(c i²), where c makes the last one T. The paper uses
    the quadratic one for CIFAR-10 and the linear one for its other data sets.

    >>> sub_sequence(1000, 5), sub_sequence(1000, 5, "linear")
    ([0, 40, 160, 360, 640, 1000], [0, 200, 400, 600, 800, 1000])
    """
    power = 1 if kind == "linear" else 2
    # At least i, so that all of them differ where the quadratic one starts too slowly.
    return [max(i, times * i**power // steps**power) for i in range(steps + 1)]


def reverse_step(
    x: Tensor,
    epsilon: Tensor,
    alpha: Tensor,
    alpha_next: Tensor,
    eta: float,
    noise: Tensor,
    variance: Noise = "sigma",
) -> Tensor:
    """One step towards the image (equation 12), from alpha to the larger alpha_next.

    `epsilon` is the network's estimate for x. With eta = 0 it is DDIM, without randomness; with
    eta = 1 and neighbouring times it is DDPM. `variance="sigma-hat"` adds the larger noise of the
    DDPM paper and leaves the rest as for eta = 1 (appendix D.3).
    """
    # Equation 16. sigma-hat is the deviation of x_t given x_next in the forward process.
    sigma_hat = (1 - alpha / alpha_next).sqrt()
    sigma = eta * ((1 - alpha_next) / (1 - alpha)).sqrt() * sigma_hat

    # Equation 12: the predicted image, the direction back to x_t, and random noise.
    image = (x - (1 - alpha).sqrt() * epsilon) / alpha.sqrt()  # equation 9
    direction = (1 - alpha_next - sigma**2).clamp(min=0).sqrt() * epsilon
    deviation = sigma_hat if variance == "sigma-hat" else sigma
    return alpha_next.sqrt() * image + direction + deviation * noise


@torch.no_grad()
def sample(
    network: nn.Module,
    x: Tensor,
    alphas: Tensor,
    tau: Sequence[int],
    eta: float = 0.0,
    seed: int = 0,
    variance: Noise = "sigma",
    step: Step = reverse_step,
) -> Tensor:
    """Images from the latents x_T, shape as x. `seed` has no effect with eta = 0."""
    generator = Generator().manual_seed(seed)
    for after, time in pairwise(reversed(tau)):
        epsilon = network(x, torch.full((len(x),), after))
        noise = torch.randn(x.shape, generator=generator)
        x = step(x, epsilon, alphas[after], alphas[time], eta, noise, variance)
    return x


# Section 4.3: with eta = 0, sampling solves an ODE, which can also be followed from image to latent


@torch.no_grad()
def encode(network: nn.Module, images: Tensor, alphas: Tensor, tau: Sequence[int]) -> Tensor:
    """The latents x_T of images: Euler's method for equation 14, in the direction of more noise.

    In the variables x / sqrt(alpha) and s = sqrt((1 - alpha) / alpha), it reads dx = epsilon ds.
    """
    spread = ((1 - alphas) / alphas).sqrt()
    x = images / alphas[tau[0]].sqrt()
    for time, after in pairwise(tau):
        # The network was trained from t = 1, where the noise is too small to matter.
        times = torch.full((len(x),), max(time, 1))
        epsilon = network(x * alphas[time].sqrt(), times)
        x = x + (spread[after] - spread[time]) * epsilon
    return x * alphas[tau[-1]].sqrt()


# Section 5.3 and appendix D.5: interpolation


def slerp(first: Tensor, second: Tensor, fraction: float) -> Tensor:
    """Spherical interpolation of latents (equation 67), image by image.

    A straight line between two latents passes points that are shorter than Gaussian noise; an arc
    does not.

    >>> slerp(torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]]]), 0.5)
    tensor([[[[0.7071, 0.7071]]]])
    """
    a, b = first.flatten(1), second.flatten(1)
    cosine = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    angle = torch.acos(cosine).view(-1, 1, 1, 1)
    weights = torch.sin((1 - fraction) * angle), torch.sin(fraction * angle)
    return (weights[0] * first + weights[1] * second) / torch.sin(angle)
