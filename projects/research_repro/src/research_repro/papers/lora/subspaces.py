"""Section 7: the subspaces that LoRA learns, and what ΔW adds to W.

table = similarity(A8, A64)          # φ(A8, A64, i, j) for all i and j (Figure 3)
table[0, 7]                          # how much of the top direction of A8 is in the top 8 of A64
norms = amplification(W, delta, rank=4)
norms["delta_norm"] / norms["in_delta"]          # 21.5 in Table 7
"""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def similarity(first: Tensor, second: Tensor) -> Tensor:
    """φ of eq. 4 for i = 1 … r1 and j = 1 … r2, from A (r1, d) and A (r2, d); shape (r1, r2).

    φ(A1, A2, i, j) = ||U1_i U2_jᵀ||² / min(i, j), with the first i and j right singular vectors. It
    is 1 if one subspace contains the other, 0 if they are orthogonal, max(i, j) / d by chance.

    >>> similarity(torch.eye(2, 4), torch.eye(2, 4))[1, 1].item()
    1.0
    """
    u1, u2 = (torch.linalg.svd(A.double(), full_matrices=False).Vh for A in (first, second))
    # The squared norm sums over all pairs of vectors; cumulative sums give it for all i and j.
    overlap = (u1 @ u2.T).square().cumsum(0).cumsum(1)
    i, j = (torch.arange(1, len(u) + 1) for u in (u1, u2))
    table: Tensor = (overlap / torch.minimum(i[:, None], j[None, :])).clamp(max=1)
    return table


@torch.no_grad()
def amplification(W: Tensor, delta: Tensor, rank: int, seed: int = 0) -> dict[str, float]:
    """Table 7: the norms of W projected on the top directions of ΔW, of W, and on random ones.

    `in_delta`: ||Uᵀ W V|| with U and V the first `rank` singular vectors of ΔW; `in_weight` and
    `in_random`: the same with those of W, and of a random matrix. `delta_norm`: ||ΔW||; divided by
    `in_delta`, it is how much ΔW amplifies its directions.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(W.shape, generator=generator)
    norms = {
        name: _projected_norm(W.double(), directions.double(), rank)
        for name, directions in (("in_delta", delta), ("in_weight", W), ("in_random", noise))
    }
    return {**norms, "delta_norm": float(delta.double().norm())}


def _projected_norm(W: Tensor, directions: Tensor, rank: int) -> float:
    U, _, Vh = torch.linalg.svd(directions, full_matrices=False)
    return float((U[:, :rank].T @ W @ Vh[:rank].T).norm())
