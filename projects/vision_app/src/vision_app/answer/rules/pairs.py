"""Labels and their values on a page: "Total: 65.43", "Total   65.43", or one above the other.

    label, value, lines, weight = find_pairs(pages)[0]    # "Total", "65.43 EUR", (Support(…),), 1.0

Fields with known names, such as those of invoices, are found with more care by `extract`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vision_app.answer.answer import Support, support
from vision_app.ocr.page import Line, Page

_MAX_LABEL = 6  # words
# "Total: 65.43", where the colon is not that of a time or a URL; "Total 65.43" at the number.
_SPLIT = re.compile(r"(.+?)(:(?!\d|//)\s*|(?<!\S)(?=[€$£¥#+(-]*\d))(.*)")


Pair = tuple[str, str, tuple[Support, ...], float]
"""Label, value, their lines, and a weight: 1 in one line, less the further apart they are."""


def find_pairs(pages: Sequence[Page]) -> list[Pair]:
    """All pairs on all pages; a line may be in several."""
    return [pair for page in pages for line in page.lines for pair in _pairs(page, line)]


def _pairs(page: Page, line: Line) -> Iterator[Pair]:
    """The pairs that have this line as their label."""
    match = _SPLIT.fullmatch(line.text)
    label, colon, value = match.groups() if match else (line.text, "", "")
    if len(label.split()) > _MAX_LABEL or not any(map(str.isalpha, label)):
        return
    # 1. Within the line.
    if value:
        yield label.strip(" .:#-"), value, support(page, line), 1.0
        if colon:
            return
        label = line.text  # "Line 2   19.99" may be a label as a whole, before a value to the right
    # 2. In a row with the label, unless both head columns.
    right, below = _right(page, line), _below(page, line)
    is_head = below and right and _below(page, right) and not any(map(str.isdigit, right.text))
    if right and (colon or value or not is_head):
        yield label, right.text, support(page, line, right), 0.95
    # 3. Below the label.
    elif below and not value:
        yield label, below.text, support(page, line, below), 0.85 if colon else 0.7


def _right(page: Page, line: Line) -> Line | None:
    left, top, right, bottom = line.box
    row = (
        other
        for other in page.lines
        if other.box[1] < (top + bottom) / 2 < other.box[3]
        and left < other.box[0] < right + 0.6 * page.width
    )
    return min(row, key=lambda other: other.box[0], default=None)


def _below(page: Page, line: Line) -> Line | None:
    left, top, right, bottom = line.box
    height = bottom - top
    column = (
        other
        for other in page.lines
        if -0.3 * height <= other.box[1] - bottom < 1.5 * height
        and left - 2 * height < other.box[0] < min(right, left + 2 * height)
    )
    return min(column, key=lambda other: other.box[1], default=None)
