"""Draws boxes with labels on a picture.

    marks = [Mark((40, 30, 210, 64), "total")]
    seedbed.models.images.encode_png(draw(pixels, marks))      # bytes of the annotated picture

Used by the API and the page. What is marked is up to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vision_app.ocr.page import Box, Pixels

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

# Dark enough for white text on them, and distinct for the color-blind (Okabe and Ito, 2008).
COLORS = ("#0072b2", "#b84a00", "#007a5a", "#a3417d", "#5b5ea6", "#7a5c00")


class Mark(NamedTuple):
    """A place in a picture, in its pixels; marks with the same label have the same color."""

    box: Box
    label: str = ""


def draw(pixels: Pixels, marks: Iterable[Mark]) -> Pixels:
    """A copy of the picture with the marks; line width and text grow with the picture.

    Parts of a box outside the picture are cut off. A label is above its box, or inside if there is
    no space above.

    >>> draw(np.full((50, 80, 3), 255, np.uint8), [Mark((10, 10, 40, 40))]).shape
    (50, 80, 3)
    """
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(pixels)
    canvas = ImageDraw.Draw(image)
    width = max(1, round(max(image.size) / 500))
    font = ImageFont.load_default(size=max(10, round(max(image.size) / 70)))
    colors: dict[str, str] = {}
    for mark in marks:
        color = colors.setdefault(mark.label, COLORS[len(colors) % len(COLORS)])
        left, top, right, bottom = _inside(mark.box, image)
        canvas.rectangle((left, top, right, bottom), outline=color, width=width)
        if mark.label:
            _write(canvas, (left, top), mark.label, color, font)
    return np.asarray(image)


def _inside(box: Box, image: Image.Image) -> Box:
    right, bottom = image.width - 1, image.height - 1
    xs = sorted(min(max(x, 0), right) for x in box[0::2])
    ys = sorted(min(max(y, 0), bottom) for y in box[1::2])
    return xs[0], ys[0], xs[1], ys[1]


def _write(
    canvas: ImageDraw.ImageDraw, corner: tuple[float, float], text: str, color: str, font: object
) -> None:
    """Text on a plate of the mark's color, moved into the picture where it would leave it."""
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)  # type: ignore[arg-type]
    pad = max(2, round((bottom - top) / 5))
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0, min(corner[0], canvas.im.size[0] - width))
    y = corner[1] - height if corner[1] >= height else corner[1]
    canvas.rectangle((x, y, x + width, y + height), fill=color)
    canvas.text((x + pad - left, y + pad - top), text, fill="white", font=font)  # type: ignore[arg-type]


def reduced(pixels: Pixels, max_pixels: int = 2_000_000) -> Pixels:
    """The picture, averaged over blocks of whole pixels if it has more than `max_pixels`.

    For a classifier that resizes to 224 pixels this makes no visible difference (it is the first
    step of Pillow's own `reducing_gap`), and a queue of such pictures takes little memory.

    >>> reduced(np.zeros((3000, 4000, 3), np.uint8)).shape
    (1000, 1334, 3)
    """
    from PIL import Image

    factor = int(np.ceil((pixels.shape[0] * pixels.shape[1] / max_pixels) ** 0.5))
    return pixels if factor <= 1 else np.asarray(Image.fromarray(pixels).reduce(factor))
