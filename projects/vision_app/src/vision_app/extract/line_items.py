"""Finds the line items of an invoice: rows with a text and an amount, above the totals.

    find_items(document)      # [{"description", "quantity", "unit_price", "amount"}]

Used as a field, and to check the total. Descriptions over several lines are cut to the first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from vision_app.extract.document import Cell, Document, to_rows
from vision_app.extract.scoring import AMOUNTS
from vision_app.extract.values import find_amounts, find_dates


@dataclass(frozen=True)
class Item:
    """A position; `quantity * unit_price` is `amount` if both could be read."""

    description: str
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: Decimal
    row: tuple[Cell, ...]


def find_items(document: Document) -> list[Item]:
    """The positions in order; empty if there is no table."""
    items: list[Item] = []
    for cells in document.on_page.values():
        rows = to_rows(cells)
        start = next(
            (n for n, row in enumerate(rows) if any(c in document.columns for c in row)), None
        )
        for row in rows[start + 1 if start is not None else 0 :]:
            if items and _is_total(document, row):
                break
            item = _item(row)
            if item is not None and (start is not None or not any(document.labels[c] for c in row)):
                items.append(item)
    return items


def _is_total(document: Document, row: list[Cell]) -> bool:
    return any(
        label.kinds & (AMOUNTS - {"paid"}) and label.start <= 2
        for cell in row
        for label in document.labels[cell]
    )


def _item(row: list[Cell]) -> Item | None:
    text = "  ".join(cell.text for cell in row)
    words = re.search(r"[^\W\d_]{2,}.*?(?=\s{2}|\s+\d+(?:[.,]\d+)?(?:\s|$)|$)", text)
    values = [value for value in find_amounts(text) if not find_dates(value.raw)]
    numbers = [Decimal(str(value.readings[""])) for value in values]
    if words is None or not values or not re.search(r"[.,]\d\d", values[-1].raw):
        return None
    if values[-1].start < words.start() or len(text) - values[-1].end > 6:
        return None
    amount, quantity, price = numbers[-1], None, None
    for first in numbers[:-1]:
        for second in numbers[:-1]:
            if first is not second and abs(first * second - amount) < Decimal("0.011"):
                quantity, price = min(first, second), max(first, second)
                if numbers.index(first) < numbers.index(second):
                    quantity, price = first, second
                break
    return Item(words[0].strip(), quantity, price, amount, tuple(row))
