"""The text of a page as cells: words next to each other, as in a table or a block.

    cells = to_cells(page)
    cells[0].text, cells[0].box_of(0, 5)

Both extractors find values in cells: a line may run through several columns of a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from vision_app.ocr.page import Box, Line, Page, Word, around

GAP = 1.0  # of the text's height, above which two words belong to different cells


@dataclass(frozen=True, eq=False)
class Cell(Line):
    """Words next to each other on the page of this number; each cell is equal to itself alone."""

    page: int
    __eq__, __hash__ = object.__eq__, object.__hash__

    @property
    def height(self) -> float:
        """Height of the text in pixels."""
        return self.box[3] - self.box[1]

    def words_in(self, start: int, end: int) -> list[Word]:
        """The words that overlap the characters from `start` to `end`."""
        return [word for word, first, last in self._parts(start, end)]

    @cached_property
    def _boxes(self) -> dict[tuple[int, int], Box]:
        return {}  # the rules ask for each some hundred times

    def box_of(self, start: int, end: int) -> Box:
        """The box of the characters from `start` to `end`, cut within words in proportion."""
        if (start, end) not in self._boxes:
            self._boxes[start, end] = self._box_of(start, end)
        return self._boxes[start, end]

    def _box_of(self, start: int, end: int) -> Box:
        boxes = []
        for word, first, last in self._parts(start, end):
            left, top, right, bottom = word.box
            step = (right - left) / len(word.text)
            boxes.append((left + step * first, top, left + step * last, bottom))
        return around(boxes) if boxes else self.box

    def _parts(self, start: int, end: int) -> Iterator[tuple[Word, int, int]]:
        """Each word between two characters, with the part of it that is between them."""
        position = 0
        for word in self.words:
            first, last = max(start - position, 0), min(end - position, len(word.text))
            if first < last:
                yield word, first, last
            position += len(word.text) + 1


def to_cells(page: Page) -> list[Cell]:
    """The cells of a page, from top to bottom and from left to right."""
    cells = []
    for line in page.lines:
        group: list[Word] = []
        for word in line.words:
            height = min(word.box[3] - word.box[1], line.box[3] - line.box[1])
            if group and word.box[0] - group[-1].box[2] > GAP * height:
                cells.append(Cell(tuple(group), page.number))
                group = []
            group.append(word)
        cells.append(Cell(tuple(group), page.number))
    return sorted(cells, key=lambda cell: (cell.box[1] + cell.box[3], cell.box[0]))


def same_row(a: Box, b: Box) -> bool:
    """Whether two boxes overlap vertically by more than half of the lower one.

    >>> same_row((0, 0, 10, 10), (50, 4, 60, 14)), same_row((0, 0, 10, 10), (0, 8, 10, 18))
    (True, False)
    """
    return min(a[3], b[3]) - max(a[1], b[1]) > 0.5 * min(a[3] - a[1], b[3] - b[1])


def same_column(a: Box, b: Box) -> bool:
    """Whether two boxes overlap horizontally, or nearly align at an edge.

    >>> same_column((0, 0, 50, 10), (40, 20, 90, 30)), same_column((0, 0, 50, 9), (90, 20, 99, 30))
    (True, False)
    """
    slack = min(a[3] - a[1], b[3] - b[1])
    return min(a[2], b[2]) > max(a[0], b[0]) or min(abs(a[0] - b[0]), abs(a[2] - b[2])) < slack
