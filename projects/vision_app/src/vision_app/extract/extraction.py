"""The result of every extractor, and shared helpers: locate values on a page, and check sums.

    extraction = extract(pages, images, load_schema("invoice"))     # an `Extractor`
    extraction.fields["total"], extraction.evidence["total"].box

There are two: `by_model`, a vision-language model, and `rules`, a folder that can be deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from vision_app.extract.cells import Cell, to_cells
from vision_app.extract.schemas import Field, Schema
from vision_app.extract.values import (
    Value,
    find_amounts,
    find_currencies,
    find_dates,
    find_times,
    squeeze,
)
from vision_app.files.pixels import Pixels
from vision_app.ocr.page import Box, Page, Word, around

CENT, MAX_AMOUNT = Decimal("0.01"), Decimal(10) ** 12
FINDERS: dict[str, Callable[[str], list[Value]]] = {
    "date": partial(find_dates, years=range(1800, 2201)),
    "time": find_times,
    "amount": find_amounts,
    "integer": find_amounts,
    "currency": find_currencies,
}
"""Functions that find the values of a kind in a text; all other kinds are plain text."""


@dataclass(frozen=True)
class Evidence:
    """The words a value was read from; `box` in pixels of the input image, `confidence` 0 to 1.

    `box` is None for a value that OCR did not read.
    """

    text: str
    box: Box | None
    page: int
    confidence: float

    @classmethod
    def of(cls, page: Page, words: Sequence[Word], box: Box, certainty: float = 1.0) -> Evidence:
        """The evidence of a value that is printed in a box of a page, by words of OCR."""
        confidence = min(word.confidence for word in words) * certainty
        text = " ".join(word.text for word in words)
        return cls(text, page.to_input(box), page.number, confidence)

    def as_json(self) -> dict[str, Any]:
        """Plain data, rounded."""
        box = [round(x, 1) for x in self.box] if self.box else None
        return {**asdict(self), "box": box, "confidence": round(self.confidence, 3)}


@dataclass(frozen=True)
class Extraction:
    """Every field of the schema, None if it is not in the document; evidence of the others."""

    fields: dict[str, Any]
    evidence: dict[str, Evidence]
    warnings: tuple[str, ...] = ()

    def as_json(self, warnings: Sequence[str] = ()) -> dict[str, Any]:
        """{"fields", "evidence", "warnings"}; `warnings` of the file come first."""
        evidence = {name: item.as_json() for name, item in self.evidence.items()}
        warnings = [*warnings, *self.warnings]
        return {"fields": self.fields, "evidence": evidence, "warnings": warnings}


Extractor = Callable[[Sequence[Page], Sequence[Pixels], Schema], Extraction]
"""Fills a schema from the text of the pages, or from their images."""


def as_number(amount: Decimal | None) -> float | None:
    """An amount as a JSON number with two decimals; None for NaN, or for a trillion and more.

    >>> as_number(Decimal("12.5"))
    12.5
    """
    if amount is None or not amount.is_finite() or abs(amount) >= MAX_AMOUNT:
        return None
    return float(amount.quantize(CENT))


def to_json(field: Field, value: Any, warnings: list[str]) -> Any:
    """A value in a type that the schema permits; None, with a warning, if it permits none.

    >>> to_json(Field("total", "amount", {}, {"type": "string"}), Decimal("12.5"), [])
    '12.50'
    """
    if isinstance(value, Decimal):
        value = as_number(value)
    if isinstance(value, float) and field.types and "number" not in field.types:
        if "integer" in field.types and value.is_integer():
            value = int(value)
        elif "string" in field.types:
            value = f"{value:.2f}"
    if isinstance(value, str) and {"integer", "number"} & {*field.types} and value.isdecimal():
        value = int(value)
    if value is None or field.accepts(value):
        return value
    warnings.append(f"{field.name}: the schema does not permit {str(value)[:80]}")
    return None


def locate(field: Field, value: Any, pages: Sequence[Page]) -> Evidence | None:
    """Where OCR read a value, with its confidence; None if it did not.

    Only whole words and numbers count: 71 does not match in 4711. If a value is printed several
    times, the last place counts for amounts and currencies, as totals are below line items, and
    the first one for all other kinds.
    """
    places = [
        (page, cell.words_in(*span), cell.box_of(*span))
        for page in pages
        for cell in to_cells(page)
        for span in _places(field, value, cell)
    ]
    if not places and field.kind not in FINDERS and squeeze(value):
        places = [
            (page, run, around(word.box for word in run))
            for page in pages
            if (run := _run(squeeze(value), to_cells(page)))
        ]
    if not places:
        return None
    return Evidence.of(*places[-1 if field.kind in ("amount", "currency") else 0])


def _places(field: Field, value: Any, cell: Cell) -> Iterator[tuple[int, int]]:
    """Where a cell contains the value, as spans of characters; amounts whatever their sign."""
    if finder := FINDERS.get(field.kind):
        values = {value, -value} if isinstance(value, Decimal) else {value}
        spans = [
            (match.start, match.end)
            for match in finder(cell.text)
            if not values.isdisjoint(match.readings.values())
        ]
        if not spans and isinstance(value, Decimal):  # 5.4 and 1204,125 are not amounts of money
            spans = [match.span() for match in _form(value).finditer(cell.text)]
        yield from spans
    elif value:
        for match in re.finditer(re.escape(value), cell.text, re.I):
            if _is_whole(cell.text, *match.span()):
                yield match.span()


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether a part of a text is not part of a longer word, number or group of digits."""
    before = text[start].isalnum() and re.search(r"\w$|\w[-–/]$|\d[.,]$", text[:start])
    after = text[end - 1].isalnum() and re.match(r"\w|[-–/]\w|[.,]\d", text[end:])
    groups = text[start].isdigit() and re.search(r"(?<![\w.,:/\-])\d\d+ $", text[:start])
    rest = text[end - 1].isdigit() and re.match(r" \d\d+(?![\w.,:/\-])", text[end:])
    return not (before or after or groups or rest)


def _form(number: Decimal) -> re.Pattern[str]:
    """How a number may be printed, with separators of thousands or without."""
    whole, _, decimals = f"{abs(number):f}".partition(".")
    digits = re.sub(r"(?<=\d)(?=(\d{3})+$)", "[.,'’ ]?", whole)
    end = f"[.,]{decimals}0*" if decimals.strip("0") else "(?:[.,]0+)?"
    return re.compile(rf"(?<![\d.,]){digits}{end}(?![.,]?\d)")


def _run(text: str, cells: Sequence[Cell]) -> list[Word]:
    """The words of the cells that a squeezed text runs through, such as the lines of an address."""
    for start, first in enumerate(cells):
        for word in range(len(first.words)):
            run, rest = list[Word](), text
            for words in (first.words[word:], *(cell.words for cell in cells[start + 1 :])):
                part, left = _take(words, rest)
                if part and (not left or len(part) == len(words)):
                    run += part
                    rest = left
                elif not run:
                    break
                if not rest and not _is_cut(words, len(part)):
                    return run
    return []


def _is_cut(words: Sequence[Word], size: int) -> bool:
    """Whether a number that is printed in groups, as an IBAN is, goes on after so many words."""
    pair = [word.text for word in words[size - 1 : size + 1]]
    return len(pair) == 2 and all(text.isdigit() and len(text) > 1 for text in pair)


def _take(words: Sequence[Word], rest: str) -> tuple[list[Word], str]:
    """The first words that a squeezed text begins with, and the rest of the text."""
    part = []
    for word in words:
        text = squeeze(word.text)
        if not rest or not rest.startswith(text):
            break
        part.append(word)
        rest = rest.removeprefix(text)
    return part, rest


def check_sums(fields: Mapping[str, Any], pages: Sequence[Page]) -> list[str]:
    """Warnings where the total disagrees with net and tax, or with the line items.

    One or two amounts on the pages may explain the difference: a deposit, tax that is withheld.
    """
    total, net, tax = (_decimal(fields.get(name)) for name in ("total", "subtotal", "tax"))
    items = fields.get("line_items")
    amounts = [_decimal(item["amount"]) for item in items] if isinstance(items, list) else []
    if total is None:
        return []
    printed = {
        abs(Decimal(str(value.readings[""])))
        for page in pages
        for line in page.lines
        for value in find_amounts(line.text)
    }
    warnings = []
    parts_known = net is not None and tax is not None and net != total
    others = printed - {abs(x) for x in (total, net, tax) if x is not None}
    if parts_known and not _is_explained((net or 0) + (tax or 0) - total, others):
        warnings.append(f"total {total} is not subtotal {net} + tax {tax}")
    if len(amounts) > 1 and None not in amounts:
        added = sum((amount for amount in amounts if amount is not None), Decimal(0))
        sums, targets = {added, added + (tax or 0)}, {total, net or total}
        if not any(_is_explained(one - other, printed) for one in sums for other in targets):
            warnings.append(f"line items add up to {added}, which is not the total {total}")
    return warnings


def _is_explained(difference: Decimal, printed: set[Decimal]) -> bool:
    rest = abs(difference)
    return rest <= CENT or rest in printed or any(rest - x in printed for x in printed if x < rest)


def _decimal(value: Any) -> Decimal | None:
    try:
        return None if value is None else Decimal(str(value)).quantize(CENT)
    except InvalidOperation:  # a field of this name that is not an amount
        return None
