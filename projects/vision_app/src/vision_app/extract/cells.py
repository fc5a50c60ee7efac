"""The layout of a page as cells: pieces of text with a box, and how they lie to each other.

    cells = to_cells(page)
    same_row(cells[0].box, cells[1].box)
    cells[0].box_of(0, 7)         # the box of the words that contain these characters

A detected line is cut where a gap is wider than a letter is high: what was one line to the detector
can be a label and, at the other side of the page, its value. Reading is up to `ocr`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from vision_app.ocr.page import Box, Page, Word, around

GAP = 1.0  # of the text's height, above which two words belong to different cells


@dataclass(frozen=True, eq=False)
class Cell:
    """Words next to each other; `text` joins them with single spaces."""

    page: int
    words: tuple[Word, ...]

    @cached_property
    def text(self) -> str:
        """The words, separated by spaces."""
        return " ".join(word.text for word in self.words)

    @cached_property
    def box(self) -> Box:
        """The box around the words, in pixels of the upright page."""
        return around(word.box for word in self.words)

    @property
    def height(self) -> float:
        """Height of the text in pixels."""
        return self.box[3] - self.box[1]

    def words_in(self, start: int, end: int) -> list[Word]:
        """The words that overlap the characters from `start` to `end`."""
        words, position = [], 0
        for word in self.words:
            if position < end and position + len(word.text) > start:
                words.append(word)
            position += len(word.text) + 1
        return words

    def box_of(self, start: int, end: int) -> Box:
        """The box of the characters from `start` to `end`, cut within words in proportion."""
        boxes, position = [], 0
        for word in self.words:
            first, last = max(start, position), min(end, position + len(word.text))
            if first < last:
                left, top, right, bottom = word.box
                step = (right - left) / len(word.text)
                boxes.append(
                    (left + step * (first - position), top, left + step * (last - position), bottom)
                )
            position += len(word.text) + 1
        return around(boxes) if boxes else self.box


def to_cells(page: Page) -> list[Cell]:
    """The cells of a page, from top to bottom and from left to right."""
    cells = []
    for line in page.lines:
        group: list[Word] = []
        for word in line.words:
            height = min(word.box[3] - word.box[1], line.box[3] - line.box[1])
            if group and word.box[0] - group[-1].box[2] > GAP * height:
                cells.append(Cell(page.number, tuple(group)))
                group = []
            group.append(word)
        if group:
            cells.append(Cell(page.number, tuple(group)))
    return sorted(cells, key=lambda cell: (cell.box[1] + cell.box[3], cell.box[0]))


def same_row(a: Box, b: Box) -> bool:
    """Whether two boxes overlap vertically by more than half of the lower one.

    >>> same_row((0, 0, 10, 10), (50, 4, 60, 14)), same_row((0, 0, 10, 10), (0, 8, 10, 18))
    (True, False)
    """
    overlap = min(a[3], b[3]) - max(a[1], b[1])
    return overlap > 0.5 * min(a[3] - a[1], b[3] - b[1])


def same_column(a: Box, b: Box) -> bool:
    """Whether two boxes overlap horizontally, or nearly align at an edge.

    >>> same_column((0, 0, 50, 10), (40, 20, 90, 30)), same_column((0, 0, 50, 9), (90, 20, 99, 30))
    (True, False)
    """
    slack = min(a[3] - a[1], b[3] - b[1])
    return min(a[2], b[2]) - max(a[0], b[0]) > 0 or min(abs(a[0] - b[0]), abs(a[2] - b[2])) < slack


def to_rows(cells: Sequence[Cell]) -> list[list[Cell]]:
    """The cells of one page grouped by height on the page, each row from left to right."""
    rows: list[list[Cell]] = []
    for cell in cells:
        row = next((row for row in reversed(rows[-3:]) if same_row(row[0].box, cell.box)), None)
        if row is None:
            rows.append([cell])
        else:
            row.append(cell)
    return [sorted(row, key=lambda cell: cell.box[0]) for row in rows]


def text_height(cells: Sequence[Cell]) -> float:
    """The median height of the text, in pixels; 1 without text."""
    return median([cell.height for cell in cells]) if cells else 1.0
