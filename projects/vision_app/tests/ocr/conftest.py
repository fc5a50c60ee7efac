"""Pages of known text, drawn with the font that Pillow contains, and a reader for each file."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vision_app.files.pixels import Pixels
from vision_app.ocr.engine import Reader

Draw = Callable[..., Pixels]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


@pytest.fixture(scope="session")
def draw() -> Draw:
    """draw([(x, y, text), ...], size=(width, height), font=24): black on white."""

    def draw_page(
        texts: Sequence[tuple[int, int, str]],
        size: tuple[int, int] = (600, 320),
        font: int = 24,
        skew: float = 0.0,
    ) -> Pixels:
        image = Image.new("RGB", size, "white")
        canvas, face = ImageDraw.Draw(image), ImageFont.load_default(size=font)
        for x, y, text in texts:
            canvas.text((x, y), text, font=face, fill="black")
        if skew:
            image = image.rotate(-skew, Image.Resampling.BICUBIC, fillcolor="white")
        return np.asarray(image)

    return draw_page


@pytest.fixture(scope="session")
def receipt() -> list[tuple[int, int, str]]:
    """A sparse page: few lines, many digits."""
    return [
        (150, 20, "CORNER MARKET"),
        (150, 60, "12 Elm Road"),
        (40, 120, "Coffee beans"),
        (460, 120, "19.99"),
        (40, 160, "Milk 1 L"),
        (460, 160, "1.61"),
        (40, 220, "TOTAL EUR"),
        (460, 220, "21.60"),
    ]
