"""The result of OCR: words with boxes, in lines, on pages; and pages as text and JSON.

    page = Reader().read(pixels)      # ocr/engine.py
    page.text                         # lines in reading order, separated by "\\n"
    page.lines[0].words[0].box        # (left, top, right, bottom) on the upright page
    page.to_input(box)                # the same place in the image as it was passed in

Boxes are pixels of the page as it was read: turned upright and deskewed, from the top left corner.
Those of `as_json` are pixels of the image as it was passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


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
        return " ".join(word.text for word in self.words)

    @cached_property
    def box(self) -> Box:
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
    from a point of this page to the input image. `warnings` mentions text that was left out.
    """

    number: int
    width: int
    height: int
    lines: tuple[Line, ...]
    turned: int = 0
    skew: float = 0.0
    matrix: tuple[tuple[float, ...], ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    warnings: tuple[str, ...] = ()

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


# ── formats ─────────────────────────────────────────────────────────────────────────────────


def as_text(pages: Sequence[Page]) -> str:
    """The lines in reading order; pages are separated by a form feed, as in `pdftotext`.

    >>> as_text([Page(1, 100, 100, ())])
    '\\n'
    """
    return "\f".join(page.text + "\n" for page in pages)


def as_json(page: Page) -> dict[str, Any]:
    """The page as plain data: its lines and words with boxes and confidences.

    >>> as_json(Page(1, 100, 80, ()))["lines"]
    []
    """

    def to_json(part: Word | Line) -> dict[str, Any]:
        box = [round(value, 1) for value in page.to_input(part.box)]
        return {"text": part.text, "box": box, "confidence": round(part.confidence, 4)}

    names = ("number", "width", "height", "turned", "skew", "text")
    return {
        **{name: getattr(page, name) for name in names},
        "lines": [
            {**to_json(line), "words": [to_json(word) for word in line.words]}
            for line in page.lines
        ],
    }
