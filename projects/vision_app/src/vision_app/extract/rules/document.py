"""A document as the rules see it: cells, the labels in them, and the evidence of its country.

    document = Document.of(pages, Lexicon())
    document.labels[document.cells[0]]           # labels in the first cell
    document.cells[0].box_of(0, 7)               # where these characters are

A cell is text without a gap wider than a letter is high: what was one line to the detector can be
a label and, at the other side of the page, its value. A label such as "Invoice no." is found by its
letters alone, in spite of lost spaces; all are in `labels/`. `scoring` decides which value belongs
to a label.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from vision_app.extract.cells import Cell, same_row, to_cells
from vision_app.extract.values import Context, squeeze
from vision_app.ocr.page import Page

MAX_LABEL_WORDS = 7
MAX_WORDS = 10_000  # of a document; a dense page has 1,000
MAX_PAIRS = 400_000  # of the labels and words of its pages (an invoice: 6,000), 4 s of scoring
USUAL_FIELDS = 20  # fields of a schema with which MAX_PAIRS takes these 4 s
NUMBER_WORDS = (
    "no nr n num number nummer nbr # id numero numer nro numarul numar szama numarasi nomor nombor"
    " cislo ref reference referenz referencia riferimento referens kenmerk code"
).split()
PREPOSITIONS = {"other_date", "due_date", "plain_date", "invoice_date", "customer", "vendor"}
_WORD = re.compile(r"[A-ZÀ-ÖØ-Þ]?[^\W\dA-ZÀ-ÖØ-Þ_]+|[^\W\d_]+|[^\W_]*[^\W\d_][^\W_]*|[#№°º]|\d+")
_JOINTS = re.compile(r"[\s.\-–_/'’´`()&*@,]*")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NUMBER_PREFIX = re.compile(r"[-/_]\d")  # a label in front of it is part of a number: INVOICE-0001


# ── labels ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Label:
    """A label in a text, from character `start` to `end`."""

    kinds: Set[str]
    start: int
    end: int


class Lexicon:
    """All labels, and those of the fields of a user's schema, `extra` (kind: labels)."""

    def __init__(self, extra: Mapping[str, Iterable[str]] | None = None) -> None:
        self._kinds: dict[str, set[str]] = defaultdict(set)  # by the letters of a label
        words = _builtin()["words"]
        for kind, texts in _builtin()["labels"].items():
            for language, labels in texts.items():
                for label in labels:
                    names = {*_PLACEHOLDER.findall(label)} - {"no"}
                    for name in words[min(names)] if language == "all" else [language]:
                        for key in _forms(label, name, words):
                            self._kinds[key].add(kind)
        # Labels of a user's schema are not templates: its author is not trusted.
        for kind, own in (extra or {}).items():
            for label in own:
                self._kinds[squeeze(label)].add(kind)

    def find(self, text: str) -> list[Label]:
        """The labels in `text`, in order, without overlaps."""
        words = [match.span() for match in _WORD.finditer(text)]
        labels: list[Label] = []
        position = 0
        while position < len(words):
            label, size = self._longest(text, words[position : position + MAX_LABEL_WORDS])
            if label is not None and not _is_preposition(label, text):
                labels.append(label)
            position += size
        return labels

    def _longest(self, text: str, words: Sequence[tuple[int, int]]) -> tuple[Label | None, int]:
        """The longest label from the first word on, and its number of words (1 without one)."""
        start = end = words[0][0]
        longest: tuple[Label | None, int] = None, 1
        if start > 0 and text[start - 1].isalnum() and not text[start].isupper():
            return longest
        for size, (begin, stop) in enumerate(words, 1):
            if not _JOINTS.fullmatch(text[end:begin]):
                break
            end = stop
            within_word = text[end : end + 1].isalpha() and not text[end].isupper()
            number = size == 1 and _NUMBER_PREFIX.match(text, end)
            kinds = self._kinds.get(squeeze(text[start:end]))
            if kinds and not within_word and not number:
                longest = Label(kinds, start, end), size
        return longest


def _forms(label: str, language: str, words: Any) -> set[str]:
    """The letters of a label with each word for each placeholder."""
    first, *rest = _PLACEHOLDER.split(label)
    keys = {squeeze(first)}
    for name, text in zip(rest[::2], rest[1::2], strict=True):
        choice = NUMBER_WORDS if name == "no" else words[name].get(language, ())
        keys = {key + squeeze(word) + squeeze(text) for key in keys for word in choice}
    return keys


def _is_preposition(label: Label, text: str) -> bool:
    """Whether a short label, such as "from", "de" or "an", is a word of a sentence instead."""
    length, after = label.end - label.start, text[label.end :]
    if length <= 3 and after[:1].isdigit() and text[label.start : label.end].isupper():
        return True  # DE12 …
    short = length <= (3 if "plain_date" in label.kinds else 4)
    return short and label.kinds <= PREPOSITIONS and not re.match(r"\s*(?:[:.]|\d|$)", after)


@lru_cache(1)
def _builtin() -> dict[str, dict[str, dict[str, list[str]]]]:
    """The labels by kind, words by name, and types by title; each by language."""
    sections: dict[str, Any] = defaultdict(lambda: defaultdict(dict))
    for file in sorted(Path(__file__).with_name("labels").glob("*.toml")):
        for section, groups in tomllib.loads(file.read_text("utf-8")).items():
            for name, texts in groups.items():
                sections[section][name][file.stem] = texts
    return sections


@lru_cache(1)
def type_titles() -> dict[str, str]:
    """The type of document that each title names, by its letters; invoices and receipts apart."""
    groups = _builtin()["types"].items()
    return {squeeze(x): kind for kind, by in groups for titles in by.values() for x in titles}


# ── the document ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Document:
    """`cells` of all pages in reading order.

    Pages after the first one with too many words are left out, with a warning.
    """

    pages: Sequence[Page]
    cells: Sequence[Cell]
    labels: dict[Cell, list[Label]]
    context: Context
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, pages: Sequence[Page], lexicon: Lexicon, fields: int = USUAL_FIELDS) -> Document:
        """The document of these pages; the more `fields`, the sooner dense pages are left out."""
        # Stop before a page whose cells and labels would take minutes or hours to score.
        max_pairs = MAX_PAIRS * USUAL_FIELDS / max(USUAL_FIELDS, fields)
        read: list[Page] = []
        labels: dict[Cell, list[Label]] = {}
        words = pairs = 0
        for page in pages:
            words += len(page.words)
            group = to_cells(page) if words <= MAX_WORDS else []
            spans = {cell: lexicon.find(cell.text) for cell in group}
            pairs += len(page.words) * sum(map(len, spans.values()))
            if words > MAX_WORDS or pairs > max_pairs:
                break
            read.append(page)
            labels |= spans
        dense = f"page {len(read) + 1} has too many words: no field is from it or a later one"
        warnings = (dense,) if len(read) < len(pages) else ()
        context = Context.of("\n".join(cell.text for cell in labels))
        return cls(read, [*labels], labels, context, warnings)

    @cached_property
    def height(self) -> float:
        """Median height of the text in pixels."""
        return median([cell.height for cell in self.cells] or [1.0])

    def size(self, cell: Cell) -> float:
        """Print size of a cell: the geometric mean of letter width and height over the medians."""
        letter = (cell.box[2] - cell.box[0]) / len(cell.text)
        return math.sqrt(letter / self._letter * cell.height / self.height)

    @cached_property
    def _letter(self) -> float:
        widths = [(c.box[2] - c.box[0]) / len(c.text) for c in self.cells if len(c.text) > 3]
        return median(widths or [1.0])

    def row_of(self, cell: Cell) -> list[Cell]:
        return [c for c in self.on_page[cell.page] if c is not cell and same_row(c.box, cell.box)]

    def page_of(self, cell: Cell) -> Page:
        return next(page for page in self.pages if page.number == cell.page)

    @cached_property
    def letters(self) -> dict[Cell, str]:
        """The letters and digits of each cell, which names are compared by."""
        return {cell: squeeze(cell.text) for cell in self.cells}

    @cached_property
    def on_page(self) -> dict[int, list[Cell]]:
        """The cells by page number."""
        groups: dict[int, list[Cell]] = defaultdict(list)
        for cell in self.cells:
            groups[cell.page].append(cell)
        return groups
