"""A document as the rules see it: cells, the labels in them, and the evidence of its country.

    document = Document.of(pages, Lexicon.load())
    document.labels[document.cells[0]]      # labels in the first cell

What the labels mean for a field is up to `scoring`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from vision_app.extract.cells import Cell, text_height, to_cells, to_rows
from vision_app.extract.context import Context
from vision_app.extract.labels import Label, Lexicon
from vision_app.ocr.page import Page


@dataclass(frozen=True, eq=False)
class Document:
    """`cells` of all pages in reading order; `columns` are the cells that head a table's columns."""

    pages: Sequence[Page]
    cells: Sequence[Cell]
    labels: dict[Cell, list[Label]]
    context: Context
    columns: frozenset[Cell]

    @classmethod
    def of(cls, pages: Sequence[Page], lexicon: Lexicon) -> Document:
        """The document that these pages make up."""
        cells, columns = [], set()
        labels: dict[Cell, list[Label]] = {}
        for page in pages:
            on_page = to_cells(page)
            labels.update((cell, lexicon.find(cell.text)) for cell in on_page)
            for row in to_rows(on_page):
                heads = [label for cell in row for label in labels[cell] if is_header(label)]
                if len(heads) > 1 and len(heads) * 3 > sum(len(c.words) for c in row) * 0.8:
                    columns.update(row)
            cells += on_page
        text = "\n".join(cell.text for cell in cells)
        languages = lexicon.languages([label for group in labels.values() for label in group])
        return cls(pages, cells, labels, Context.of(text, languages), frozenset(columns))

    @cached_property
    def height(self) -> float:
        """Median height of the text in pixels."""
        return text_height(self.cells)

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
