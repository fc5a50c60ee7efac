"""The result of OCR: words with boxes, in lines, on pages.

    page = read_page(pixels)          # ocr/engine.py
    page.text                         # lines in reading order, separated by "\\n"
    page.lines[0].words[0].box        # (left, top, right, bottom) on the upright page
    page.to_input(box)                # the same place in the image as it was passed in

Boxes are pixels of the page as it was read: turned upright and deskewed, from the top left corner.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from seedbed.models.images import Pixels

__all__ = ["IDENTITY", "Box", "Line", "Page", "Pixels", "Word", "around"]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""
IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


@dataclass(frozen=True)
class Word:
    """A run of characters without a space; `confidence` is the recognizer's, 0 to 1."""

    text: str
    box: Box
    confidence: float


@dataclass(frozen=True)
class Line:
    """Words next to each other that the detector found as one piece of text, left to right."""

    words: tuple[Word, ...]

    @cached_property
    def text(self) -> str:
        """The words, separated by spaces."""
        return " ".join(word.text for word in self.words)

    @cached_property
    def box(self) -> Box:
        """The smallest box around the words."""
        return around(word.box for word in self.words)

    @property
    def confidence(self) -> float:
        """The lowest confidence of the words."""
        return min(word.confidence for word in self.words)


@dataclass(frozen=True)
class Page:
    """What was read on one page; `number` counts from 1.

    `turned` is the clockwise turn in degrees (0, 90, 180, 270) that made the page upright, `skew`
    the angle in degrees that was corrected after it. `matrix` is the affine transformation, 2x3,
    from a point of this page to the input image.
    """

    number: int
    width: int
    height: int
    lines: tuple[Line, ...]
    turned: int = 0
    skew: float = 0.0
    matrix: tuple[tuple[float, float, float], tuple[float, float, float]] = IDENTITY

    @cached_property
    def text(self) -> str:
        """The lines in reading order."""
        return "\n".join(line.text for line in self.lines)

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """All words in reading order."""
        return tuple(word for line in self.lines for word in line.words)

    def to_input(self, box: Box) -> Box:
        """The smallest box of the input image that contains `box` of this page."""
        left, top, right, bottom = box
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        points = [[a * x + b * y + c for a, b, c in self.matrix] for x, y in corners]
        xs, ys = zip(*points, strict=True)
        return min(xs), min(ys), max(xs), max(ys)


def around(boxes: Iterable[Box]) -> Box:
    """The smallest box that contains all `boxes`, of which there is at least one.

    >>> around([(0, 0, 10, 5), (20, 2, 30, 8)])
    (0, 0, 30, 8)
    """
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
