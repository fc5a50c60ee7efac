"""Fills a schema from the words of a document, with the evidence of every field.

    extraction = extract(pages, load_schema("invoice"))
    extraction.fields["total"], extraction.evidence["total"].box

The rules know labels in 16 languages (`labels.toml`), and choose among all values on the pages by
additive scores (`scoring`). Reading the pages is up to `ocr`; `vlm` does the same with a
vision-language model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from vision_app.extract.document import Cell, Document, Lexicon, same_row
from vision_app.extract.line_items import Item, find_items
from vision_app.extract.schemas import Field, Schema
from vision_app.extract.scoring import SCORERS, THRESHOLD, Candidate, best
from vision_app.extract.values import Value, find_currencies
from vision_app.extract.vendor import respell, score_customers, score_vendors
from vision_app.ocr.page import Box, Page, around

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Evidence:
    """The words a value was read from; `box` in pixels of the input image, `confidence` 0 to 1."""

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
        return {
            "fields": self.fields,
            "evidence": {
                name: {
                    "text": evidence.text,
                    "box": [round(x, 1) for x in evidence.box] if evidence.box else None,
                    "page": evidence.page,
                    "confidence": round(evidence.confidence, 3),
                }
                for name, evidence in self.evidence.items()
            },
            "warnings": [*warnings, *self.warnings],
        }


def extract(pages: Sequence[Page], schema: Schema) -> Extraction:
    """The fields of `schema` in a document of these pages.

    >>> from vision_app.extract.schemas import load_schema
    >>> extract([], load_schema("receipt")).fields["total"] is None
    True
    """
    # 1. Cut the lines into cells, find the labels in them, and the evidence of the country.
    extra = {f"field:{f.name}": f.labels for f in schema.fields if f.labels}
    document = Document.of(pages, lexicon_of(tuple(extra.items())))
    # 2. Score every value on the pages for each field, and keep the best above the threshold.
    rankings = {f.name: rank(document, f) for f in schema.fields}
    winners = {name: best(candidates) for name, candidates in rankings.items()}
    if (vendor := winners.get("vendor")) is not None:
        respell(document, vendor)
    # 3. The currency is the one next to the total, so it comes last.
    for f in schema.fields:
        if f.value == "currency":
            winners[f.name] = find_currency(document, winners.get("total"))
    # 4. Check the total against the positions.
    items = find_items(document) if pages else []
    warnings = check_sums(winners, items)
    # 5. Normalize, and show the places in the images.
    fields = {f.name: _as_json(f, winners[f.name], items) for f in schema.fields}
    evidence = {
        name: _evidence(document, winner, rankings[name])
        for name, winner in winners.items()
        if winner is not None
    }
    for f in schema.fields:
        if f.value == "items" and items:
            evidence[f.name] = _evidence_of_items(document, items)
    return Extraction(fields, evidence, tuple(warnings))


_lexicons: dict[tuple[tuple[str, tuple[str, ...]], ...], Lexicon] = {}


def lexicon_of(extra: tuple[tuple[str, tuple[str, ...]], ...]) -> Lexicon:
    """The lexicon with the labels of a schema, built once."""
    if extra not in _lexicons:
        if len(_lexicons) > 8:
            _lexicons.clear()
        _lexicons[extra] = Lexicon.load(dict(extra))
    return _lexicons[extra]


def rank(document: Document, target: Field) -> list[Candidate]:
    """The candidates for a field, the best first."""
    scorers = {**SCORERS, "vendor": score_vendors, "customer": score_customers}
    if target.value not in scorers or not document.cells:
        return []
    candidates = scorers[target.value](document, target)
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
            if total is not None:
                _score_near_total(candidate, cell, value, total)
            candidates.append(candidate)
    for candidate in candidates:
        same = sum(other.value == candidate.value for other in candidates)
        candidate.add("frequent", 0.15 * same / len(candidates))
    return best(candidates)


def _score_near_total(candidate: Candidate, cell: Cell, value: Value, total: Candidate) -> None:
    if cell is total.cell:
        gap = max(value.start - total.end, total.start - value.end, 0)
        candidate.add("at the total", 0.45 if gap <= 2 else 0.3)
    elif cell.page == total.cell.page and same_row(cell.box_of(value.start, value.end), total.box):
        candidate.add("row of the total", 0.35)


def check_sums(winners: Mapping[str, Candidate | None], items: Sequence[Item]) -> list[str]:
    """Warnings where the total disagrees with net and tax, or with the positions."""
    numbers = {
        name: winner.value
        for name, winner in winners.items()
        if winner is not None and isinstance(winner.value, Decimal)
    }
    total = numbers.get("total")
    if total is None:
        return []
    warnings = []
    net, tax = numbers.get("subtotal"), numbers.get("tax")
    if net is not None and tax is not None and abs(net + tax - total) > CENT and net != total:
        warnings.append(f"total {total} is not subtotal {net} + tax {tax}")
    if len(items) > 1:
        amount = sum((item.amount for item in items), Decimal(0))
        sums = {amount, amount + (tax or 0)}
        if not any(abs(s - t) <= CENT for s in sums for t in (total, net or total)):
            warnings.append(f"line items add up to {amount}, which is not the total {total}")
    return warnings


def _as_json(target: Field, winner: Candidate | None, items: Sequence[Item]) -> Any:
    if target.value == "items":
        return [
            {
                "description": item.description,
                "quantity": as_number(item.quantity),
                "unit_price": as_number(item.unit_price),
                "amount": as_number(item.amount),
            }
            for item in items
        ] or None
    if winner is None:
        return None
    if isinstance(winner.value, Decimal):
        return int(winner.value) if target.value == "integer" else as_number(winner.value)
    return winner.value


def as_number(amount: Decimal | None) -> float | None:
    """An amount as a JSON number with two decimals."""
    return None if amount is None else float(amount.quantize(CENT))


def _evidence(document: Document, winner: Candidate, ranking: Sequence[Candidate]) -> Evidence:
    page = next(p for p in document.pages if p.number == winner.cell.page)
    words = winner.cell.words_in(winner.start, winner.end)
    rival = max((c.score for c in ranking if c.value != winner.value), default=0.0)
    read = min((word.confidence for word in words), default=1.0)
    margin = 4 * (winner.score - THRESHOLD) + 3 * min(winner.score - rival, 0.5)
    confidence = read / (1 + math.exp(-margin))
    text = " ".join(word.text for word in words)
    return Evidence(text, page.to_input(winner.box), page.number, confidence)


def _evidence_of_items(document: Document, items: Sequence[Item]) -> Evidence:
    cells = [cell for item in items for cell in item.row if cell.page == items[0].row[0].page]
    page = next(p for p in document.pages if p.number == cells[0].page)
    text = "\n".join(" ".join(cell.text for cell in item.row) for item in items)
    return Evidence(text, page.to_input(around(cell.box for cell in cells)), page.number, 0.5)
