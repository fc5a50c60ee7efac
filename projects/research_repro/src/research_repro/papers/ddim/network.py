"""The network that predicts the noise: a small U-Net for 8 × 8 images, after DDPM's.

Denoiser(width=16)(torch.randn(5, 1, 8, 8), torch.full((5,), 1000)).shape      # (5, 1, 8, 8)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

SINUSOIDS = 64


class Denoiser(nn.Module):
    """epsilon(x_t, t): residual blocks at two resolutions, without attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        wide, time = 2 * width, 4 * width
        self.time = nn.Sequential(nn.Linear(SINUSOIDS, time), nn.SiLU(), nn.Linear(time, time))
        self.inner = nn.Conv2d(1, width, 3, padding=1)
        self.fine = Block(width, width, time)
        self.down = nn.Conv2d(width, wide, 3, stride=2, padding=1)
        self.coarse = nn.ModuleList([Block(wide, wide, time), Block(wide, wide, time)])
        self.up = nn.Conv2d(wide, width, 1)
        self.joint = Block(wide, width, time)
        self.outer = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        """The estimated noise, with the shape of x: (batch, 1, 8, 8); times has (batch,)."""
        frequencies = torch.exp(-math.log(10_000) * torch.linspace(0, 1, SINUSOIDS // 2))
        angles = times[:, None] * frequencies
        time = silu(self.time(torch.cat([angles.sin(), angles.cos()], 1)))
        fine = self.fine(self.inner(x), time)
        coarse = self.down(fine)
        for block in self.coarse:
            coarse = block(coarse, time)
        both = torch.cat([fine, interpolate(self.up(coarse), scale_factor=2)], 1)
        return torch.as_tensor(self.outer(silu(self.joint(both, time))))


class Block(nn.Module):
    """x + f(x, time) with two convolutions."""

    def __init__(self, channels: int, out: int, time: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(8, channels), nn.GroupNorm(8, out)])
        self.first = nn.Conv2d(channels, out, 3, padding=1)
        self.second = nn.Conv2d(out, out, 3, padding=1)
        self.time = nn.Linear(time, out)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(batch, channels, height, width) to the same with `out` channels."""
        hidden = self.first(silu(self.norms[0](x))) + self.time(time)[:, :, None, None]
        return torch.as_tensor(self.skip(x) + self.second(silu(self.norms[1](hidden))))
