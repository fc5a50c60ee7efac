"""Puts lines in reading order: columns of prose one after the other, everything else by rows.

    order(lines)                       # title, left column, right column, footer

A gutter is a vertical strip that few lines cross, with prose on both sides. The lines that cross it
(titles, wide paragraphs) divide the page into bands, and within a band the left column comes before
the right one. Side-by-side text that isn't prose (tables, forms, totals) is read row by row, which
keeps a label next to its value. Text around pictures and vertical writing are left to others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import groupby
from statistics import median

from vision_app.ocr.page import Line, around

MAX_EDGES = 100  # right edges of lines that are tried as a gutter, those that few lines cross
MIN_ROWS = 4  # of a column
MIN_CHARACTERS = 16  # of its typical row: cells of tables are shorter
MIN_FILL = 0.6  # typical width of a row, as a share of the column's


def order(lines: Sequence[Line]) -> list[Line]:
    """`lines` in reading order, for pages with any number of columns.

    >>> from vision_app.ocr.page import Word
    >>> price = Line((Word("19.99", (300, 12, 350, 30), 1.0),))
    >>> item = Line((Word("Lamp", (20, 10, 80, 30), 1.0),))
    >>> [line.text for line in order([price, item])]
    ['Lamp', '19.99']
    """
    rows = group_rows(lines)
    x = _gutter(lines)
    if x is None:
        return [line for row in rows for line in row]
    result: list[Line] = []
    for crossed, band in groupby(rows, key=lambda row: any(_crosses(line, x) for line in row)):
        inside = [line for row in band for line in row]
        left, right = _sides(inside, x)
        if crossed or not (left and right):
            result += inside
        elif _is_prose(left) or _is_prose(right):
            result += order(left) + order(right)
        else:
            result += inside
    return result


def group_rows(lines: Sequence[Line]) -> list[list[Line]]:
    """Rows from top to bottom; the vertical middle of a line is inside its left neighbour."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.box[1] + line.box[3]):
        middle = (line.box[1] + line.box[3]) / 2
        if rows and rows[-1][-1].box[1] <= middle <= rows[-1][-1].box[3]:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.box[0]) for row in rows]


def _gutter(lines: Sequence[Line]) -> float | None:
    """The x that the fewest lines cross among those with prose on both sides."""
    lefts, rights = sorted(x.box[0] for x in lines), sorted(x.box[2] for x in lines)

    def count_crossing(x: float) -> int:
        return bisect_left(lefts, x) - bisect_right(rights, x)

    edges = sorted({right + 1 for right in rights}, key=lambda x: (count_crossing(x), x))
    for x in edges[:MAX_EDGES]:
        if 3 * count_crossing(x) > len(lines):
            break
        left, right = _sides([line for line in lines if not _crosses(line, x)], x)
        if _is_prose(left) and _is_prose(right):
            # The middle of the gap, so that no edge is near it.
            return (x + min(line.box[0] for line in right)) / 2
    return None


def _crosses(line: Line, x: float) -> bool:
    return line.box[0] < x < line.box[2]


def _sides(lines: Sequence[Line], x: float) -> tuple[list[Line], list[Line]]:
    return [line for line in lines if line.box[2] <= x], [line for line in lines if line.box[0] > x]


def _is_prose(lines: Sequence[Line]) -> bool:
    rows = group_rows(lines)
    if len(rows) < MIN_ROWS:
        return False
    characters = median(sum(len(line.text) for line in row) for row in rows)
    boxes = [around(line.box for line in row) for row in rows]
    left, _, right, _ = around(boxes)
    fill = median(box[2] - box[0] for box in boxes) / max(1.0, right - left)
    return characters >= MIN_CHARACTERS and fill >= MIN_FILL
