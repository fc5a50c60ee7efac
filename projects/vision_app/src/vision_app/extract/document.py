"""A document as the rules see it: cells, the labels in them, and the evidence of its country.

    document = Document.of(pages, Lexicon.load())
    document.labels[document.cells[0]]      # labels in the first cell

What the labels mean for a field is up to `scoring`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from vision_app.extract.cells import Cell, text_height, to_cells, to_rows
from vision_app.extract.context import Context
from vision_app.extract.labels import Label, Lexicon, count_languages
from vision_app.ocr.page import Page

SHARE = 0.12  # of the labels, from which a language is one of the document's


@dataclass(frozen=True, eq=False)
class Document:
    """`cells` of all pages in reading order; `columns` head the columns of a table."""

    pages: Sequence[Page]
    cells: Sequence[Cell]
    labels: dict[Cell, list[Label]]
    context: Context
    columns: frozenset[Cell]

    @classmethod
    def of(cls, pages: Sequence[Page], lexicon: Lexicon) -> Document:
        """The document that these pages make up."""
        # 1. Cells and their labels in all languages.
        by_page = [to_cells(page) for page in pages]
        cells = [cell for on_page in by_page for cell in on_page]
        labels = {cell: lexicon.find(cell.text) for cell in cells}
        languages = count_languages(label for group in labels.values() for label in group)
        # 2. Only the languages that the document is in: a few words are labels in several.
        total = sum(languages.values())
        spoken = {"en", *(name for name, count in languages.items() if count >= SHARE * total)}
        for cell, group in labels.items():
            labels[cell] = [label.spoken_in(spoken) for label in group]
        # 3. The rows that head the columns of a table.
        columns: set[Cell] = set()
        for row in (row for on_page in by_page for row in to_rows(on_page)):
            heads = [label for cell in row for label in labels[cell] if is_header(label)]
            amounts = [c for c in row if any(label.kinds & {"total"} for label in labels[c])]
            few = (
                len(heads) == 1
                and amounts
                and not any(map(str.isdigit, row[0].text + row[-1].text))
            )
            if few or (len(heads) > 1 and len(heads) * 3 > sum(len(c.words) for c in row) * 0.8):
                columns.update(row)
        text = "\n".join(cell.text for cell in cells)
        return cls(pages, cells, labels, Context.of(text, languages), frozenset(columns))

    @cached_property
    def height(self) -> float:
        """Median height of the text in pixels."""
        return text_height(self.cells)

    def size(self, cell: Cell) -> float:
        """How large a cell is printed: its letters' width and height over the median, the mean."""
        letter = (cell.box[2] - cell.box[0]) / len(cell.text)
        return math.sqrt(letter / self._letter * cell.height / self.height)

    @cached_property
    def _letter(self) -> float:
        widths = [(c.box[2] - c.box[0]) / len(c.text) for c in self.cells if len(c.text) > 3]
        return median(widths or [1.0])

    @cached_property
    def on_page(self) -> dict[int, list[Cell]]:
        """The cells by page number."""
        groups: dict[int, list[Cell]] = defaultdict(list)
        for cell in self.cells:
            groups[cell.page].append(cell)
        return groups


def is_header(label: Label) -> bool:
    """Whether a label names a column of a table of goods."""
    return "item_header" in label.kinds
