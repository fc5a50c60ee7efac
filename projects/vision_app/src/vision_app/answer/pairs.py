"""Labels and their values on a page: "Total: 65.43", "Total   65.43", or one above the other.

    pairs = find_pairs(pages)
    pairs[0].label, pairs[0].value, pairs[0].support    # "Total", "65.43 EUR", the lines

Any label is a label here, so that any document can be asked. Fields with known names, such as those
of invoices, are found with more care by `extract`. Which pair answers a question is up to `ask.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vision_app.ocr.page import Line, Page

_MAX_LABEL = 6  # words
_VALUE = re.compile(r"(?<!\S)[€$£¥#+(-]*\d")  # where a value begins in "Total 65.43 EUR"
_COLON = re.compile(r":(?!\d|//)\s*")  # not in times and URLs


@dataclass(frozen=True)
class Support:
    """A piece of text that supports an answer; `box` is in pixels of the input image."""

    text: str
    page: int
    box: tuple[float, float, float, float]
    confidence: float


@dataclass(frozen=True)
class Pair:
    """A label and its value. `weight` is 1 in one line, less the further apart they are."""

    label: str
    value: str
    support: tuple[Support, ...]
    weight: float = 1.0


def find_pairs(pages: Sequence[Page]) -> list[Pair]:
    """All pairs on all pages, in reading order; a line may be in several."""
    return [pair for page in pages for pair in _on_page(page)]


def support(page: Page, *lines: Line) -> tuple[Support, ...]:
    """Lines as support, with boxes in the input image."""
    return tuple(
        Support(line.text, page.number, page.to_input(line.box), line.confidence) for line in lines
    )


def _on_page(page: Page) -> Iterator[Pair]:
    for line in page.lines:
        # 1. Within a line: at a colon, or where the first number begins.
        colon, number = _COLON.search(line.text), _VALUE.search(line.text)
        label, value = line.text, ""
        if colon:
            label, value = line.text[: colon.start()], line.text[colon.end() :]
        elif number and number.start() > 0:
            label, value = line.text[: number.start()], line.text[number.start() :]
        if not _is_label(label):
            continue
        label = label.strip(" .:#-")
        if value.strip():
            yield Pair(label, value.strip(), support(page, line))
            if not colon:  # "Line 2   19.99" may be a label as a whole, before a value to the right
                label = line.text.strip()
        # 2. The line below in a head of columns, else the next in the row, else the line below.
        right, below = _right(page, line), _below(page, line)
        if right and not colon and not value.strip() and _is_head(page, line, right):
            right = None
        if right and not (value.strip() and colon):
            yield Pair(label, right.text, support(page, line, right), 0.95)
        elif not value.strip() and below and not _is_same_kind(below, _below(page, below)):
            yield Pair(label, below.text, support(page, line, below), 0.85 if colon else 0.7)


def _is_label(text: str) -> bool:
    words = text.split()
    return 0 < len(words) <= _MAX_LABEL and any(map(str.isalpha, text))


def _right(page: Page, line: Line) -> Line | None:
    left, top, right, bottom = line.box
    middle = (top + bottom) / 2
    row = [
        other
        for other in page.lines
        if other is not line and other.box[1] < middle < other.box[3] and other.box[0] > left
    ]
    nearest = min(row, key=lambda other: other.box[0], default=None)
    far = nearest is not None and nearest.box[0] - right > 0.6 * page.width
    return None if far else nearest


def _below(page: Page, line: Line) -> Line | None:
    left, _, right, bottom = line.box
    height = line.box[3] - line.box[1]
    column = [
        other
        for other in page.lines
        if 0 <= other.box[1] - bottom + 0.3 * height < 1.8 * height
        and other.box[0] < right
        and abs(other.box[0] - left) < 2 * height
    ]
    return min(column, key=lambda other: other.box[1], default=None)


def _is_head(page: Page, line: Line, right: Line) -> bool:
    """Whether two neighbours in a row are labels, both with their value close below."""
    for label in (line, right):
        below = _below(page, label)
        height = label.box[3] - label.box[1]
        if below is None or below.box[1] - label.box[3] > 0.7 * height:
            return False
    return not any(map(str.isdigit, right.text))


def _is_same_kind(line: Line, other: Line | None) -> bool:
    """Whether two lines both begin with a number, as in a column."""
    return other is not None and all(_VALUE.match(part.text.strip()) for part in (line, other))
