"""A document as the rules see it: cells, the labels in them, and the evidence of its country.

    document = Document.of(pages, Lexicon.load())
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
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from vision_app.extract.cells import Cell, same_row, to_cells, to_rows
from vision_app.extract.values import Context, squeeze
from vision_app.ocr.page import Page

SHARE = 0.12  # of the labels, from which a language is one of the document's
MAX_LABEL_WORDS = 7
MAX_WORDS = 10_000  # of a document; a dense page has 1,000
MAX_PAIRS = 400_000  # of the labels and words of its pages (an invoice: 6,000), 4 s of scoring
USUAL_FIELDS = 20  # of a schema for which that holds
NUMBER_WORDS = (
    "no nr n num number nummer nbr # id numero numer nro numarul numar szama numarasi nomor nombor"
    " cislo ref reference referenz referencia riferimento referens kenmerk code"
).split()
PREPOSITIONS = {"other_date", "due_date", "plain_date", "invoice_date", "customer", "vendor"}
_WORD = re.compile(r"[A-ZÀ-ÖØ-Þ]?[^\W\dA-ZÀ-ÖØ-Þ_]+|[^\W\d_]+|[^\W_]*[^\W\d_][^\W_]*|[#№°º]|\d+")
_JOINTS = re.compile(r"[\s.\-–_/'’´`()&*@,]*")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NUMBER_PREFIX = re.compile(r"[-/_]\d")  # a label in front of it is part of a number: INVOICE-0001

Groups = dict[str, dict[str, list[str]]]
Languages = Mapping[str, Set[str]]
"""The languages in which a text is a label of each kind; empty for those of a user's schema."""


# ── labels ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Label:
    """A label in a text, from character `start` to `end`."""

    kinds: Set[str]
    start: int
    end: int
    languages: Languages

    def spoken_in(self, languages: Set[str]) -> Label:
        """The label without its kinds in other languages: "till" is Swedish for "to"."""
        kinds = {k for k in self.kinds if not self.languages[k] or self.languages[k] & languages}
        return replace(self, kinds=kinds or self.kinds)


class Lexicon:
    """All labels, and the labels of the fields of a user's schema."""

    def __init__(self, kinds: Mapping[str, Mapping[str, Iterable[str]]], words: Any) -> None:
        self._labels: dict[str, dict[str, set[str]]] = defaultdict(dict)  # languages by kind
        self._suffixes: dict[str, set[str]] = defaultdict(set)
        split: set[str] = set()
        whole: set[str] = set()
        entries = [(k, n, x) for k, group in kinds.items() for n, xs in group.items() for x in xs]
        for kind, language, label in entries:
            if language == "suffixes":
                self._suffixes[squeeze(label)].add(kind)
                continue
            names = {*_PLACEHOLDER.findall(label)} - {"no"}
            for name in words[min(names)] if language == "all" else [language]:
                # Labels of a user's schema are not templates: its author is not trusted.
                keys = _forms(label, name, words) if name else {squeeze(label)}
                for key in keys:
                    self._labels[key].setdefault(kind, set()).update({name} - {""})
                (split if re.search(r"\w[\s.\-]+[\w{]", label) else whole).update(keys)
        # "re id" is not in "Reid": short labels of several words match several words only.
        self._split = {key for key in split - whole if len(key) <= 7}

    @classmethod
    def load(cls, extra: Mapping[str, Iterable[str]] | None = None) -> Lexicon:
        """The built-in labels, plus those of `extra` (kind: labels)."""
        kinds, words, _ = _builtin()
        kinds = {**kinds}
        for kind, labels in (extra or {}).items():
            kinds[kind] = {**kinds.get(kind, {}), "": list(labels)}
        return cls(kinds, words)

    def find(self, text: str) -> list[Label]:
        """The labels in `text`, in order, without overlaps."""
        words = [match.span() for match in _WORD.finditer(text)]
        labels: list[Label] = []
        position = 0
        while position < len(words):
            label, size = self._longest(text, words, position)
            if label is not None and not _is_preposition(label, text):
                labels.append(label)
            position += size
        return labels

    def _longest(
        self, text: str, words: list[tuple[int, int]], position: int
    ) -> tuple[Label | None, int]:
        """The longest label that starts at a word, and its number of words (1 without one)."""
        start = words[position][0]
        for size, end, key in [*self._spans(text, words, position)][::-1]:
            languages = self._labels.get(key) or self._by_suffix(key, " " in text[start:end])
            if languages:
                return Label(languages.keys(), start, end, languages), size
        return None, 1

    def _spans(
        self, text: str, words: list[tuple[int, int]], position: int
    ) -> Iterator[tuple[int, int, str]]:
        """The texts from a word on that may be labels: number of words, end, and letters."""
        start = end = words[position][0]
        if start > 0 and text[start - 1].isalnum() and not text[start].isupper():
            return
        for size, (begin, stop) in enumerate(words[position : position + MAX_LABEL_WORDS], 1):
            if not _JOINTS.fullmatch(text[end:begin]):
                return
            end = stop
            within_word = text[end : end + 1].isalpha() and not text[end].isupper()
            key = squeeze(text[start:end])
            number = size == 1 and (key in self._split or _NUMBER_PREFIX.match(text, end))
            if not within_word and not number:
                yield size, end, key

    def _by_suffix(self, key: str, several: bool) -> Languages:
        """The kinds of a compound by its end: "Jahresrechnung"."""
        if several or any(map(str.isdigit, key)):
            return {}
        for suffix, kinds in self._suffixes.items():
            if key.endswith(suffix) and len(suffix) + 2 <= len(key) < len(suffix) + 24:
                return dict.fromkeys(kinds, frozenset())
        return {}


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
def _builtin() -> tuple[Groups, Groups, Groups]:
    """Labels by kind, words by name, and titles by the type of document; each by language."""
    labels: Groups = defaultdict(dict)
    words: Groups = defaultdict(dict)
    titles: Groups = defaultdict(dict)
    for file in sorted(Path(__file__).with_name("labels").glob("*.toml")):
        data = tomllib.loads(file.read_text("utf-8"))
        for groups, section, language in (
            (labels, "labels", file.stem),
            (words, "words", file.stem),
            (labels, "suffixes", "suffixes"),
            (titles, "types", file.stem),
        ):
            for name, texts in data.get(section, {}).items():
                groups[name][language] = texts
    return labels, words, titles


@lru_cache(1)
def type_titles() -> dict[str, str]:
    """The type of document that each title names, by its letters; invoices and receipts apart."""
    groups = _builtin()[2].items()
    return {squeeze(x): kind for kind, by in groups for titles in by.values() for x in titles}


# ── the document ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Document:
    """`cells` of all pages in reading order; `columns` head the columns of a table.

    Pages after the first one with too many words are left out, with a warning.
    """

    pages: Sequence[Page]
    cells: Sequence[Cell]
    labels: dict[Cell, list[Label]]
    context: Context
    columns: frozenset[Cell]
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, pages: Sequence[Page], lexicon: Lexicon, fields: int = USUAL_FIELDS) -> Document:
        """The document that these pages make up; the more `fields`, the fewer words count."""
        # 1. Cells and their labels in all languages, as far as they take seconds, not hours.
        max_pairs = MAX_PAIRS * USUAL_FIELDS / max(USUAL_FIELDS, fields)
        by_page: list[list[Cell]] = []
        labels: dict[Cell, list[Label]] = {}
        words = pairs = 0
        for page in pages:
            words += len(page.words)
            group = to_cells(page) if words <= MAX_WORDS else []
            spans = {cell: lexicon.find(cell.text) for cell in group}
            pairs += len(page.words) * sum(map(len, spans.values()))
            if words > MAX_WORDS or pairs > max_pairs:
                break
            by_page.append(group)
            labels |= spans
        dense = f"page {len(by_page) + 1} has too many words: no field is from it or a later one"
        warnings = (dense,) if len(by_page) < len(pages) else ()
        cells = [*labels]
        counts: dict[str, float] = defaultdict(float)
        for label in (label for group in labels.values() for label in group):
            languages = set().union(*label.languages.values())
            for language in languages:
                counts[language] += 1 / len(languages)
        # 2. Only the languages that the document is in: a few words are labels in several.
        total = sum(counts.values())
        spoken = {"en", *(name for name, count in counts.items() if count >= SHARE * total)}
        labels = {cell: [x.spoken_in(spoken) for x in group] for cell, group in labels.items()}
        # 3. The rows that head the columns of a table.
        rows = [row for group in by_page for row in to_rows(group)]
        columns = frozenset(cell for row in rows if _is_head(row, labels) for cell in row)
        context = Context.of("\n".join(cell.text for cell in cells), counts)
        return cls(pages[: len(by_page)], cells, labels, context, columns, warnings)

    @cached_property
    def height(self) -> float:
        """Median height of the text in pixels."""
        return median([cell.height for cell in self.cells] or [1.0])

    def size(self, cell: Cell) -> float:
        """How large a cell is printed: its letters' width and height over the median, the mean."""
        letter = (cell.box[2] - cell.box[0]) / len(cell.text)
        return math.sqrt(letter / self._letter * cell.height / self.height)

    @cached_property
    def _letter(self) -> float:
        widths = [(c.box[2] - c.box[0]) / len(c.text) for c in self.cells if len(c.text) > 3]
        return median(widths or [1.0])

    def row_of(self, cell: Cell) -> list[Cell]:
        """The other cells in the row of a cell."""
        return [c for c in self.on_page[cell.page] if c is not cell and same_row(c.box, cell.box)]

    def page_of(self, cell: Cell) -> Page:
        """The page that a cell is on."""
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


def _is_head(row: Sequence[Cell], labels: Mapping[Cell, Sequence[Label]]) -> bool:
    """Whether a row has the names of columns: several, or one and a total without digits."""
    kinds = [label.kinds for cell in row for label in labels[cell]]
    heads = sum("item_header" in each for each in kinds)
    if heads == 1 and any("total" in each for each in kinds):
        return not any(map(str.isdigit, row[0].text + row[-1].text))
    return heads > 1 and heads * 3 > sum(len(cell.words) for cell in row) * 0.8
