"""Denoising diffusion implicit models, Song, Meng, Ermon 2020, https://arxiv.org/abs/2010.02502.

    alphas = noise_schedule(1000)
    train(network, images, alphas, cell, workspace)              # once; the network predicts noise
    sample(network, latents, alphas, sub_sequence(1000, 20), eta=0)      # 20 steps, not 1,000

Images lie in [-1, 1] and have the shape (batch, 1, height, width). As in the paper, alpha is the
share of the image in the variance of x_t: the product of 1 - beta, which DDPM writes with a bar.
`network(x, times)` estimates the noise in x; times has the shape (batch,).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Generator, Tensor
from torch.nn import Module
from torch.nn.functional import mse_loss
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from research_repro.paper import Cell
from research_repro.runs.workspace import Workspace

Step = Callable[[Tensor, Tensor, Tensor, Tensor, float, Tensor], Tensor]


# Section 2: the forward process turns an image into noise; a network learns to predict the noise


def noise_schedule(times: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """alpha_0 = 1 to alpha_T, shape (T + 1,), for beta from 1e-4 to 0.02 as in DDPM.

    >>> noise_schedule(1000)[[0, 1, 1000]]
    tensor([1.0000e+00, 9.9990e-01, 4.0358e-05])
    """
    beta = torch.linspace(1e-4, 0.02, times, dtype=torch.float64)
    alphas = torch.cumprod(1 - beta, 0)  # DDPM, section 2: alpha-bar
    return torch.cat([torch.ones(1), alphas]).to(dtype)


def diffuse(images: Tensor, alphas: Tensor, times: Tensor, noise: Tensor) -> Tensor:
    """x_t given x_0, in one step."""
    alpha = alphas[times].view(-1, 1, 1, 1)
    return alpha.sqrt() * images + (1 - alpha).sqrt() * noise  # eq. 4


def loss(network: Module, images: Tensor, alphas: Tensor, times: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of the predicted noise.

    Theorem 1: up to weights by time, this is the objective for every sigma. One network therefore
    serves all of the reverse processes below.
    """
    # eq. 5 with gamma = 1
    return mse_loss(network(diffuse(images, alphas, times, noise), times), noise)


def train(network: Module, images: Tensor, alphas: Tensor, cell: Cell, ws: Workspace) -> None:
    """Minimise the loss, then load the moving average of the weights into the network.

    `cell.settings` has `steps`, `batch` and `rate`, which falls linearly to 0.
    """
    steps, batch = cell.settings["steps"], cell.settings["batch"]
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.995))
    optimizer = torch.optim.Adam(network.parameters(), cell.settings["rate"], fused=True)
    for step in ws.steps(cell, steps, network=network, average=average, optimizer=optimizer):
        generator = Generator().manual_seed(cell.seed * 1_000_003 + step)
        rows = torch.randint(len(images), (batch,), generator=generator)
        times = torch.randint(1, len(alphas), (batch,), generator=generator)
        noise = torch.randn(images[rows].shape, generator=generator)

        optimizer.param_groups[0]["lr"] = cell.settings["rate"] * (1 - step / steps)
        optimizer.zero_grad()
        loss(network, images[rows], alphas, times, noise).backward()
        optimizer.step()
        average.update_parameters(network)
    network.load_state_dict(average.module.state_dict())


# Sections 4.1 and 4.2: a family of reverse processes, and fewer steps


def sub_sequence(times: int, steps: int, power: int = 2) -> list[int]:
    """The times tau that are visited, from 0 (the image) to T (noise): steps + 1 numbers.

    Appendix D.2: tau_i = floor(c i) or floor(c i²), where c makes the last one T. The paper squares
    for CIFAR-10 and not for its other data sets.

    >>> sub_sequence(1000, 5), sub_sequence(1000, 5, power=1)
    ([0, 40, 160, 360, 640, 1000], [0, 200, 400, 600, 800, 1000])
    """
    # At least i, so that all differ where the squares grow too slowly.
    return [max(i, times * i**power // steps**power) for i in range(steps + 1)]


def reverse_step(
    x: Tensor, epsilon: Tensor, alpha: Tensor, alpha_next: Tensor, eta: float, noise: Tensor
) -> Tensor:
    """One step towards the image, from alpha to the larger alpha_next.

    `epsilon` is the network's estimate for x. With eta = 0 it is DDIM, without randomness; with
    eta = 1 and neighbouring times it is DDPM.
    """
    # eq. 16: the size of the noise
    sigma = eta * ((1 - alpha_next) / (1 - alpha)).sqrt() * (1 - alpha / alpha_next).sqrt()
    image = (x - (1 - alpha).sqrt() * epsilon) / alpha.sqrt()  # eq. 9: predicted x_0
    direction = (1 - alpha_next - sigma**2).clamp(min=0).sqrt() * epsilon  # pointing to x_t
    return alpha_next.sqrt() * image + direction + sigma * noise  # eq. 12


def larger_noise_step(
    x: Tensor, epsilon: Tensor, alpha: Tensor, alpha_next: Tensor, _eta: float, noise: Tensor
) -> Tensor:
    """DDPM with sigma-hat (section 5, appendix D.3): eta = 1, but the forward process's noise."""
    mean = reverse_step(x, epsilon, alpha, alpha_next, 1.0, torch.zeros_like(noise))
    return mean + (1 - alpha / alpha_next).sqrt() * noise


@torch.no_grad()
def sample(
    network: Module,
    x: Tensor,
    alphas: Tensor,
    tau: list[int],
    eta: float,
    step: Step = reverse_step,
) -> Tensor:
    """Images from the latents x_T, shape as x."""
    generator = Generator().manual_seed(0)
    for time, after in pairwise(reversed(tau)):
        epsilon = network(x, torch.full((len(x),), time))
        noise = torch.randn(x.shape, generator=generator)
        x = step(x, epsilon, alphas[time], alphas[after], eta, noise)
    return x


# Sections 4.3 and 5.4: with eta = 0, sampling solves an ODE; backwards, it encodes an image


@torch.no_grad()
def encode(network: Module, images: Tensor, alphas: Tensor, tau: list[int]) -> Tensor:
    """The latents x_T of images, by Euler's method for an ODE, towards more noise.

    With y = x / sqrt(alpha) and s = sqrt((1 - alpha) / alpha), the equation is dy = epsilon ds.
    """
    s = ((1 - alphas) / alphas).sqrt()
    y = images
    for time, after in pairwise(tau):
        times = torch.full((len(y),), max(time, 1))  # the network was trained from t = 1
        # eq. 14, where alpha = 1 / (s² + 1)
        y = y + (s[after] - s[time]) * network(y * alphas[time].sqrt(), times)
    return y * alphas[tau[-1]].sqrt()


# Section 5.3: interpolation


def slerp(first: Tensor, second: Tensor, fraction: float) -> Tensor:
    """A point on the arc between latents, which is Gaussian noise as they are.

    >>> slerp(torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[0.0, 1.0]]]]), 0.5)
    tensor([[[[0.7071, 0.7071]]]])
    """
    cosine = torch.cosine_similarity(first.flatten(1), second.flatten(1))
    angle = torch.acos(cosine).view(-1, 1, 1, 1)
    a, b = torch.sin((1 - fraction) * angle), torch.sin(fraction * angle)
    return (a * first + b * second) / torch.sin(angle)  # eq. 67
