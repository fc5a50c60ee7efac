"""The network that predicts the noise in an 8 × 8 image: a residual perceptron with time embedding.

network = Denoiser(width=256, blocks=3)
network(torch.randn(5, 1, 8, 8), torch.full((5,), 1000)).shape       # (5, 1, 8, 8)

The paper's is DDPM's U-Net. For 64 pixels a perceptron is enough.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

PIXELS = 64


class Denoiser(nn.Module):
    """epsilon(x_t, t) for images of shape (batch, 1, 8, 8) and times of shape (batch,)."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.inner = nn.Linear(PIXELS, width)
        self.time = nn.Sequential(nn.Linear(PIXELS, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.outer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, PIXELS))

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        """The estimated noise, shape as x."""
        embedding = silu(self.time(sinusoids(times, PIXELS)))
        hidden = self.inner(x.flatten(1))
        for block in self.blocks:
            hidden = block(hidden, embedding)
        return torch.as_tensor(self.outer(hidden)).view_as(x)


class Block(nn.Module):
    """x + f(x, time)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.time = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Shape as x, (batch, width)."""
        return x + torch.as_tensor(self.down(silu(self.up(self.norm(x)) + self.time(embedding))))


def sinusoids(times: Tensor, width: int) -> Tensor:
    """Sines and cosines of the times at geometrically spaced frequencies: (batch, width)."""
    frequencies = torch.exp(-math.log(10_000) * torch.arange(width // 2) / (width // 2))
    angles = times[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
