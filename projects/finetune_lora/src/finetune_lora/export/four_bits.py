"""Q4_1 blocks that OpenVINO and llama.cpp read as the same numbers. It knows arrays only.

A block of 32 weights is stored as scale * q + minimum, q in 0..15. OpenVINO turns the minimum into
a whole number of steps (`round(-minimum / scale)`, in four bits), which moves every weight of a
block that ggml's own quantizer made by up to half a step. Here the minimum is a whole number of
steps to begin with.
"""

from __future__ import annotations

from typing import Any

BLOCK = 32
_RANGES = (1.0, 0.94, 0.88)
"""Parts of a block's range to try: clipping its extremes may bring the others closer."""


def quantize_q4_1(rows: Any) -> Any:
    """float32 rows, (n, k) with k a multiple of 32, as bytes of Q4_1, (n, k / 32 * 20)."""
    import numpy as np

    blocks = rows.reshape(-1, BLOCK)
    low = np.minimum(blocks.min(axis=1, keepdims=True), 0)
    high = np.maximum(blocks.max(axis=1, keepdims=True), 0)
    best, least = None, None
    for part in _RANGES:
        scale = ((high - low) * (part / 15)).astype(np.float16).astype(np.float32)
        scale[scale == 0] = 1  # a block of zeros
        zero = np.clip(np.rint(-low * part / scale), 0, 15)
        steps = np.clip(np.rint(blocks / scale) + zero, 0, 15)
        error = np.square((steps - zero) * scale - blocks).sum(axis=1, keepdims=True)
        if best is None or least is None:
            best, least = [scale, zero, steps], error
            continue
        better = error < least
        least = np.where(better, error, least)
        new = (scale, zero, steps)
        best = [np.where(better, now, old) for now, old in zip(new, best, strict=True)]
    scale, zero, steps = best or []
    nibbles = steps.astype(np.uint8)
    packed = nibbles[:, : BLOCK // 2] | (nibbles[:, BLOCK // 2 :] << np.uint8(4))
    numbers = np.concatenate([scale, -zero * scale], axis=1).astype(np.float16).view(np.uint8)
    return np.concatenate([numbers, packed], axis=1).reshape(rows.shape[0], -1)
