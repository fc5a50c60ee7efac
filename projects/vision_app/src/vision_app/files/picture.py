"""Decode pictures in a process of its own, which a hostile file may fill or crash.

    find_pages(data, name="scan.tif", max_pixels=50_000_000, limit=20)       # [0, 1]
    decode(data, 1, name="scan.tif", max_pixels=50_000_000)        # uint8 (height, width, 3)

Decoders in C cannot be interrupted: a JPEG of 0.5 MB with 3,000 scans takes 48 s. `pixels`
defines what is decoded and how; limits of the file are left to `images`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from vision_app.files import pixels
from vision_app.files.pixels import Pixels
from seedbed.safety.limited_process import LimitedProcess

MAX_SECONDS, MAX_WALL_SECONDS = 10.0, 60.0  # processor time; 50 million pixels take one or two
_BYTES_PER_PIXEL, _BYTES_FOR_MODULES = 16, 200_000_000


def find_pages(data: bytes, *, name: str, max_pixels: int, limit: int) -> list[int]:
    """As `pixels.find_pages`. Also raises BadInput for what takes too much time or memory."""
    process = _process(max_pixels)
    about, _ = process.call(data, name=name, label=name, max_pixels=max_pixels, limit=limit)
    return list(about["pages"])


def decode(data: bytes, page: int, *, name: str, max_pixels: int) -> Pixels:
    """As `pixels.decode`. Also raises BadInput for what takes too much time or memory."""
    process = _process(max_pixels)
    about, raw = process.call(data, name=name, label=name, max_pixels=max_pixels, page=page)
    return np.frombuffer(raw, np.uint8).reshape(about["shape"])


@cache
def _process(max_pixels: int) -> LimitedProcess:
    return LimitedProcess(
        f"{__name__}:open_picture",
        action="decode",
        hint="Save it again, as PNG or JPEG.",
        max_seconds=MAX_SECONDS,
        max_wall_seconds=MAX_WALL_SECONDS,
        max_memory=_BYTES_FOR_MODULES + _BYTES_PER_PIXEL * max_pixels,
    )


def open_picture(
    data: bytes, label: str, max_pixels: int, page: int = -1, limit: int = 1
) -> tuple[dict[str, Any], bytes]:
    """In the child process: the positions of the pages or, for a `page`, its pixels as RGB."""
    Image.MAX_IMAGE_PIXELS = None  # `max_pixels` is the limit
    if page < 0:
        pages = pixels.find_pages(data, name=label, max_pixels=max_pixels, limit=limit)
        return {"pages": pages}, b""
    decoded = pixels.decode(data, name=label, max_pixels=max_pixels, page=page)
    return {"shape": decoded.shape}, decoded.tobytes()
