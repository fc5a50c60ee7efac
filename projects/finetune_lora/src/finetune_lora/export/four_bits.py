"""Q4_1 blocks that OpenVINO and llama.cpp read as the same numbers.

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
    blocks = rows.reshape(-1, BLOCK)
    scale, zero = grid(blocks)
    return pack(nearest(blocks, scale, zero), scale, zero).reshape(rows.shape[0], -1)


def grid(blocks: Any) -> tuple[Any, Any]:
    """The (scale, zero), both (n, 1), that bring (n, 32) weights closest; zero is a whole step."""
    import numpy as np

    low = np.minimum(blocks.min(axis=1, keepdims=True), 0)
    high = np.maximum(blocks.max(axis=1, keepdims=True), 0)
    tried = []
    for part in _RANGES:
        scale = ((high - low) * (part / 15)).astype(np.float16).astype(np.float32)
        scale[scale == 0] = 1  # a block of zeros
        zero = np.clip(np.rint(-low * part / scale), 0, 15)
        missed = (nearest(blocks, scale, zero) - zero) * scale - blocks
        tried.append((np.square(missed).sum(axis=1, keepdims=True), scale, zero))
    errors, scales, zeros = (np.stack(each) for each in zip(*tried, strict=True))
    best = errors.argmin(axis=0)[None]
    return np.take_along_axis(scales, best, 0)[0], np.take_along_axis(zeros, best, 0)[0]


def nearest(weights: Any, scale: Any, zero: Any) -> Any:
    """The steps, 0..15, that stand for the weights: (step - zero) * scale is what is read back."""
    import numpy as np

    return np.clip(np.rint(weights / scale) + zero, 0, 15)


def pack(steps: Any, scale: Any, zero: Any) -> Any:
    """Blocks of steps, (n, 32), as bytes, (n, 20)."""
    import numpy as np

    nibbles = steps.astype(np.uint8)
    packed = nibbles[:, : BLOCK // 2] | (nibbles[:, BLOCK // 2 :] << np.uint8(4))
    numbers = np.concatenate([scale, -zero * scale], axis=1).astype(np.float16).view(np.uint8)
    return np.concatenate([numbers, packed], axis=1)
