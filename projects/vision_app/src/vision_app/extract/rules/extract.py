"""Fills a schema from the words of a document, with the evidence of every field.

    extraction = extract(pages, (), load_schema("invoice"))
    extraction.fields["total"], extraction.evidence["total"].box

The rules know labels in 16 languages (`labels/`), and choose among all values on the pages by
additive scores (`scoring`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import takewhile
from typing import Any

from vision_app.extract.cells import Cell, same_row, to_rows
from vision_app.extract.extraction import Evidence, Extraction, as_number, check_sums, to_json
from vision_app.extract.rules.document import Document, Lexicon
from vision_app.extract.rules.document_type import find_type
from vision_app.extract.rules.scoring import AMOUNTS, SCORERS, THRESHOLD, Candidate, best
from vision_app.extract.rules.sums import find_balance
from vision_app.extract.rules.vendor import score_vendors
from vision_app.extract.schemas import Field, Schema
from vision_app.extract.values import find_amounts, find_currencies, find_dates
from vision_app.files.pixels import Pixels
from vision_app.ocr.page import Page, around

TYPE = "document_type"
SUMS = {"total", "subtotal", "tax"}
EXACT = 0.97  # the certainty of amounts that agree with each other to the cent
# Without that, a label alone does not prove these.
UNCONFIRMED = {"subtotal": 0.85, "tax": 0.85, "customer": 0.85, "payment_method": 0.85}
_NUMBERS = re.compile(r"(?:\s+[^\w\s]?\d[\d.,]*[^\w\s]?)+$")  # at the end of a description


@dataclass(frozen=True)
class Item:
    """A position; `quantity * unit_price` is `amount` if both could be read."""

    description: str
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: Decimal
    row: tuple[Cell, ...]


def extract(
    pages: Sequence[Page],
    images: Sequence[Pixels],  # noqa: ARG001  (an `Extractor`)
    schema: Schema,
) -> Extraction:
    """The fields of `schema` in a document of these pages.

    >>> from vision_app.extract.schemas import load_schema
    >>> extract([], [], load_schema("receipt")).fields["total"] is None
    True
    """
    # 1. Cut the lines into cells, find the labels in them, and the evidence of the country.
    extra = tuple((f"field:{f.name}", f.labels) for f in schema.fields if f.labels)
    document = Document.of(pages, lexicon_of(extra), len(schema.fields))
    # 2. Score every value on the pages for each field, and keep the best above the threshold.
    rankings = {field.name: rank(document, field) for field in schema.fields}
    # 3. A page that is neither an invoice nor a receipt has none of their fields; a delivery note,
    #    which has that title, has some.
    names = {field.name for field in schema.fields}
    if not document.cells:
        return Extraction(dict.fromkeys(rankings), {}, document.warnings)
    untitled = schema.name if schema.built_in else "invoice"
    typed = {f.name: rankings[f.name] for f in schema.fields if f.kind not in ("flag", "texts")}
    kind, title = find_type(document, typed, untitled) if TYPE in names else (None, None)
    if kind == "other" and title is None:
        reason = "neither an invoice nor a receipt, so no field was filled"
        return Extraction({**dict.fromkeys(rankings), TYPE: kind}, {}, (*document.warnings, reason))
    if kind == "credit_note":
        rankings |= {name: _of_credit_note(ranking) for name, ranking in rankings.items()}
    # 4. Subtotal and tax have to agree with the total; the currency is the one next to it.
    winners = {name: best(ranking) for name, ranking in rankings.items()}
    amounts = {f.name: rankings[f.name] for f in schema.fields if f.kind == "amount"}
    balance = find_balance(document, amounts)
    winners |= {name: getattr(balance, name) for name in amounts.keys() & {"subtotal", "tax"}}
    for field in schema.fields:
        if field.kind == "currency":
            winners[field.name] = find_currency(document, winners.get("total"))
    # 5. Normalize, and check the total against the positions.
    items = find_items(document)
    refused: list[str] = []
    fields = {
        field.name: to_json(field, _value(field, winners[field.name], items), refused)
        for field in schema.fields
    }
    winners = {name: winner for name, winner in winners.items() if fields[name] is not None}
    sums = check_sums(fields, document.pages, exact=balance.exact)
    # 6. Show the places in the images.
    evidence = {
        name: _evidence(document, name, winner, rankings[name], exact=balance.exact)
        for name, winner in winners.items()
        if winner is not None
    }
    if TYPE in names:
        [field] = [field for field in schema.fields if field.name == TYPE]
        fields[TYPE] = to_json(field, kind, refused)
        if title is not None and fields[TYPE] is not None:
            box = document.page_of(title).to_input(title.box)
            evidence[TYPE] = Evidence(title.text, box, title.page, 0.9)
    for field in schema.fields:
        if field.kind == "items" and fields[field.name]:
            evidence[field.name] = _evidence_of_items(document, items)
    warnings = (*document.warnings, *balance.warnings, *refused, *sums)
    return Extraction(fields, evidence, warnings)


def _of_credit_note(ranking: list[Candidate]) -> list[Candidate]:
    """The ranking without what belongs to the invoice that a credit note refers to.

    Where both a "date" and an "invoice date" are printed, the latter is the invoice's.
    """
    plain = [c for c in ranking if not c.labeled("invoice_date")]
    return plain if any(c.score >= THRESHOLD for c in plain) else ranking


@lru_cache(8)
def lexicon_of(extra: tuple[tuple[str, tuple[str, ...]], ...]) -> Lexicon:
    """The lexicon with the labels of a schema, built once."""
    return Lexicon.load(dict(extra))


def rank(document: Document, target: Field) -> list[Candidate]:
    """The candidates for a field, the best first."""
    scorers = {**SCORERS, "vendor": score_vendors}
    if target.kind not in scorers or not document.cells:
        return []
    candidates = scorers[target.kind](document, target)
    if target.pattern is not None:
        candidates = [c for c in candidates if target.pattern.search(str(c.value))]
    return sorted(candidates, key=lambda candidate: -candidate.score)


def find_currency(document: Document, total: Candidate | None) -> Candidate | None:
    """The currency at the total, in its row, after a label, or else the most frequent one."""
    candidates: list[Candidate] = []
    for cell in document.cells:
        labels = [label for label in document.labels[cell] if "currency" in label.kinds]
        for value in find_currencies(cell.text):
            code = document.context.currency(value.readings)
            if code is None:
                continue
            candidate = Candidate(code, cell, value.start, value.end, 0.5)
            candidate.add("label", 0.3 * any(label.end <= value.start for label in labels))
            if total is not None and cell is total.cell:
                gap = max(value.start - total.end, total.start - value.end)
                candidate.add("at the total", 0.45 if gap <= 2 else 0.3)
            elif total is not None and cell.page == total.cell.page:
                candidate.add("row of the total", 0.35 * same_row(candidate.box, total.box))
            candidates.append(candidate)
    codes = [candidate.value for candidate in candidates]
    for candidate in candidates:
        candidate.add("frequent", 0.15 * codes.count(candidate.value) / len(codes))
    return best(candidates)


# ── line items ──────────────────────────────────────────────────────────────────────────────


def find_items(document: Document) -> list[Item]:
    """The positions: rows with a text and an amount, above the totals; empty without a table.

    Descriptions over several lines are cut to the first.
    """
    items: list[Item] = []
    for cells in document.on_page.values():
        rows = to_rows(cells)
        heads = [n for n, row in enumerate(rows) if document.columns.intersection(row)]
        for row in rows[heads[0] + 1 if heads else 0 :]:
            labels = [label for cell in row for label in document.labels[cell]]
            if items and any(x.kinds & (AMOUNTS - {"paid"}) and x.start <= 2 for x in labels):
                break
            item = _item(row)
            if item is not None and (heads or not labels):
                items.append(item)
    return items


def _item(row: Sequence[Cell]) -> Item | None:
    text = "  ".join(cell.text for cell in row)
    words = re.search(r"[^\W\d_]{2,}", text)
    values = [v for v in find_amounts(text) if not find_dates(v.raw)]
    if words is None or not values or not re.search(r"[.,]\d\d$", values[-1].raw):
        return None
    if values[-1].start < words.start() or len(text) - values[-1].end > 6:
        return None
    *numbers, amount = (Decimal(str(value.readings[""])) for value in values)
    products = [
        (first, second)
        for n, first in enumerate(numbers)
        for second in numbers[n + 1 :]
        if abs(first * second - amount) < Decimal("0.011")
    ]
    quantity, price = products[-1] if products else (None, None)
    description = _description(text[words.start() :])
    return Item(description, quantity, price, amount, tuple(row)) if description else None


def _description(text: str) -> str:
    """The text of a row up to its columns of numbers; numbers within it stay."""
    cells = re.split(r"\s{2,}", text)
    texts = list(takewhile(lambda x: re.search(r"[^\W\d_]{3}", x) and x[:1].isalpha(), cells))
    return _NUMBERS.sub("", " ".join(texts[:1] if len(texts) == len(cells) else texts)).strip()


# ── values and evidence ─────────────────────────────────────────────────────────────────────


def _value(target: Field, winner: Candidate | None, items: Sequence[Item]) -> Any:
    if target.kind == "items":
        return [
            {
                "description": item.description,
                "quantity": as_number(item.quantity),
                "unit_price": as_number(item.unit_price),
                "amount": as_number(item.amount),
            }
            for item in items
        ] or None
    return winner and winner.value


def _evidence(
    document: Document, name: str, winner: Candidate, ranking: Sequence[Candidate], *, exact: bool
) -> Evidence:
    parts = winner.parts or (winner,)
    words = [word for part in parts for word in part.cell.words_in(part.start, part.end)]
    rival = max((c.score for c in ranking if c.value != winner.value), default=0.0)
    margin = 4 * (winner.score - THRESHOLD) + 3 * min(winner.score - rival, 0.5)
    certainty = 1 / (1 + math.exp(-margin))
    if name in SUMS and exact:
        certainty = max(certainty, EXACT)
    elif name in UNCONFIRMED:
        certainty = min(certainty, UNCONFIRMED[name])
    confidence = min(word.confidence for word in words) * certainty
    page = document.page_of(winner.cell)
    text = " ".join(word.text for word in words)
    box = around(part.box for part in parts if part.cell.page == page.number)
    return Evidence(text, page.to_input(box), page.number, confidence)


def _evidence_of_items(document: Document, items: Sequence[Item]) -> Evidence:
    page = document.page_of(items[0].row[0])
    boxes = [cell.box for item in items for cell in item.row if cell.page == page.number]
    text = "\n".join(" ".join(cell.text for cell in item.row) for item in items)
    return Evidence(text, page.to_input(around(boxes)), page.number, 0.5)
