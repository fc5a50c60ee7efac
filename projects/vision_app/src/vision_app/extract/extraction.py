"""What every extractor returns, and what all of them need: places of values, and sums.

    extraction = extract(pages, images, load_schema("invoice"))     # an `Extractor`
    extraction.fields["total"], extraction.evidence["total"].box

There are two: `by_model`, a vision-language model, and `rules`, a folder that can be deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Protocol

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
from vision_app.ocr.page import Box, Page

CENT, MAX_AMOUNT = Decimal("0.01"), Decimal(10) ** 12
FINDERS: dict[str, Callable[[str], list[Value]]] = {
    "date": partial(find_dates, compact=True, years=range(1800, 2201)),
    "time": find_times,
    "amount": find_amounts,
    "integer": find_amounts,
    "currency": find_currencies,
}
"""What finds the values of a kind in a text; other kinds are texts."""


@dataclass(frozen=True)
class Evidence:
    """The words a value was read from; `box` in pixels of the input image, `confidence` 0 to 1.

    `box` is None for a value that OCR did not read.
    """

    text: str
    box: Box | None
    page: int
    confidence: float


@dataclass(frozen=True)
class Extraction:
    """Every field of the schema, None if it is not in the document; evidence of the others."""

    fields: dict[str, Any]
    evidence: dict[str, Evidence]
    warnings: tuple[str, ...] = ()

    def as_json(self, warnings: Sequence[str] = ()) -> dict[str, Any]:
        """{"fields", "evidence", "warnings"}; `warnings` of the file come first."""
        evidence = {
            name: {
                **asdict(item),
                "box": [round(x, 1) for x in item.box] if item.box else None,
                "confidence": round(item.confidence, 3),
            }
            for name, item in self.evidence.items()
        }
        warnings = [*warnings, *self.warnings]
        return {"fields": self.fields, "evidence": evidence, "warnings": warnings}


class Extractor(Protocol):
    """Fills a schema from the text of the pages, or from their images."""

    def __call__(
        self, pages: Sequence[Page], images: Sequence[Pixels], schema: Schema
    ) -> Extraction: ...


def as_number(amount: Decimal | None) -> float | None:
    """An amount as a JSON number with two decimals; None for NaN, and from a trillion on.

    >>> as_number(Decimal("12.5"))
    12.5
    """
    if amount is None or not amount.is_finite() or abs(amount) >= MAX_AMOUNT:
        return None
    return float(amount.quantize(CENT))


def locate(field: Field, value: Any, pages: Sequence[Page]) -> Evidence | None:
    """Where OCR read a value, with its confidence; None if it did not.

    An amount that is printed several times counts where it is last, as totals are below positions.
    """
    places = [
        (page, cell, start, end)
        for page in pages
        for cell in to_cells(page)
        for start, end in _places(field, value, cell)
    ]
    if not places:
        return None
    page, cell, start, end = places[-1 if field.value == "amount" else 0]
    words = cell.words_in(start, end)
    confidence = min(word.confidence for word in words)
    box = page.to_input(cell.box_of(start, end))
    return Evidence(" ".join(word.text for word in words), box, page.number, confidence)


def _places(field: Field, value: Any, cell: Cell) -> Iterator[tuple[int, int]]:
    """Where a cell contains the value, as spans of characters."""
    if finder := FINDERS.get(field.value):
        for match in finder(cell.text):
            if value in match.readings.values():
                yield match.start, match.end
    elif squeeze(value) and squeeze(value) in squeeze(cell.text):
        start = cell.text.casefold().find(value.casefold())
        yield (start, start + len(value)) if start >= 0 else (0, len(cell.text))


def check_sums(
    fields: Mapping[str, Any], pages: Sequence[Page], *, exact: bool = False
) -> list[str]:
    """Warnings where the total disagrees with net and tax, or with the positions.

    One or two amounts on the pages may explain the difference: a deposit, tax that is withheld.
    `exact` leaves the first out, where net and tax have been checked.
    """
    total, net, tax = (_decimal(fields.get(name)) for name in ("total", "subtotal", "tax"))
    amounts = [_decimal(item.get("amount")) for item in fields.get("line_items") or ()]
    if total is None:
        return []
    printed = {
        abs(Decimal(str(value.readings[""])))
        for page in pages
        for line in page.lines
        for value in find_amounts(line.text)
    }
    warnings = []
    parts_known = net is not None and tax is not None and net != total and not exact
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
    return None if value is None else Decimal(str(value)).quantize(CENT)
