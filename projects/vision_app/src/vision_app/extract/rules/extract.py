"""Fills a schema from the words of a document, with the evidence of every field.

    extraction = extract(pages, (), load_schema("invoice"))
    extraction.fields["total"], extraction.evidence["total"].box

The rules recognize labels in sixteen languages (`labels/`), and choose among all values by
additive scores (`scoring`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import product
from typing import Any

from vision_app.extract.cells import Cell, same_row
from vision_app.extract.extraction import Evidence, Extraction, check_sums, to_json
from vision_app.extract.rules.document import Document, Lexicon, type_titles
from vision_app.extract.rules.scoring import (
    SCORERS,
    THRESHOLD,
    Candidate,
    best,
    decimal,
)
from vision_app.extract.rules.vendor import has_second_place, score_vendors
from vision_app.extract.schemas import Field, Schema
from vision_app.extract.values import find_currencies, squeeze
from vision_app.files.pixels import Pixels
from vision_app.ocr.page import Page

TYPE = "document_type"
SUMS = {"total", "subtotal", "tax"}
EXACT = 0.97  # the certainty of amounts that agree with each other to the cent
# The maximum certainty of a subtotal or tax that only its label supports, not the sum.
UNCONFIRMED = 0.85
MAX_LETTERS = 8  # after a title, apart from digits
UNPROVEN = 0.8  # the certainty of a guess, and of a name that is on the page once


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
    if not document.cells:
        return Extraction(dict.fromkeys(rankings), {}, document.warnings)
    # 3. Find the type of the document; it has no effect on other fields.
    kind, title = find_type(document, rankings, schema.name if schema.built_in else "invoice")
    # 4. Make fields consistent: the date after the invoice number, subtotal, tax and rounding that
    #    agree with the total, and the currency next to it.
    winners = {name: best(ranking) for name, ranking in rankings.items()}
    warnings = [*document.warnings]
    if number := winners.get("invoice_number"):
        behind = [x for x in rankings.get("date", ()) if x.cell is number.cell]
        if dates := [x for x in behind if x.start >= number.end]:
            winners["date"] = dates[0]
            dates[0].score = max(dates[0].score, number.score)
    if total := winners.get("total"):
        winners["total"] = _rounded(total, rankings["total"])
    exact = _balance(rankings, winners, document, warnings)
    for field in schema.fields:
        if field.kind == "currency":
            winners[field.name] = find_currency(document, winners.get("total"))
    # 5. Write the values as the schema has them, with their places in the images.
    fields: dict[str, Any] = {}
    evidence: dict[str, Evidence] = {}
    for field in schema.fields:
        name, winner = field.name, winners[field.name]
        if field.kind == TYPE:
            fields[name] = to_json(field, kind, warnings)
            if title:
                where = document.page_of(title), title.words, title.box
                evidence[name] = Evidence.of(*where, 0.9)
            else:
                evidence[name] = Evidence("", None, 1, 0.5)
                warnings.append(f"{name}: no title says so")
            continue
        fields[name] = to_json(field, winner.value, warnings) if winner else None
        if winner is None or fields[name] is None:
            continue
        guess = _other_reading(document, field, winner)
        warnings += [f"{name}: {guess}"] if guess else []
        certainty = _certainty(winner, rankings[name])
        if name in SUMS and exact:
            certainty = max(certainty, EXACT)
        elif name in ("subtotal", "tax"):
            certainty = min(certainty, UNCONFIRMED)
        if guess or (name == "vendor" and not has_second_place(document, winner)):
            certainty = min(certainty, UNPROVEN)
        words = winner.cell.words_in(winner.start, winner.end)
        page = document.page_of(winner.cell)
        evidence[name] = Evidence.of(page, words, winner.box, certainty)
    return Extraction(fields, evidence, tuple(warnings))


def _rounded(total: Candidate, amounts: Sequence[Candidate]) -> Candidate:
    """The total rounded for cash, if it is printed below, together with the rounding amount."""
    printed = {abs(decimal(x)) for x in amounts}
    for x in amounts:
        change = abs(decimal(x) - decimal(total))
        is_below = (x.cell.page, x.box[1]) > (total.cell.page, total.box[1])
        is_round = 0 < change < 1 and change in printed and not decimal(x) % Decimal("0.05")
        if x.score >= THRESHOLD and is_below and is_round:
            return x
    return total


def _balance(
    rankings: Mapping[str, Sequence[Candidate]],
    winners: dict[str, Candidate | None],
    document: Document,
    warnings: list[str],
) -> bool:
    """Whether subtotal, tax and total agree; what contradicts the total becomes None."""
    total = winners.get("total")
    nets, taxes = (
        [c for c in rankings.get(name, ()) if c.score >= THRESHOLD] for name in ("subtotal", "tax")
    )
    if total is None or not (nets or taxes):
        return False
    # 1. The best labels that agree to the cent.
    for net, tax in product(nets[:5], taxes[:5]):
        if decimal(net) + decimal(tax) == decimal(total) and decimal(tax):
            winners |= {"subtotal": net, "tax": tax}
            return True
    # 2. Otherwise the only one of each, if no third amount contradicts it.
    single = {
        name: decimal(ranking[0])
        for name, ranking in (("subtotal", nets), ("tax", taxes))
        if len({c.value for c in ranking}) == 1 and abs(decimal(ranking[0])) <= abs(decimal(total))
    }
    if single.get("subtotal") == decimal(total):
        single.pop("tax", None)  # nothing proves that tax is included
    if check_sums({**single, "total": decimal(total)}, document.pages):
        single = {}
    for name, ranking in (("subtotal", nets), ("tax", taxes)):
        if ranking and name not in single:
            winners[name] = None
            reason = "the amounts next to its label do not agree with the total"
            warnings.append(f"{name}: {reason} {decimal(total)}")
    return False


@lru_cache(8)
def lexicon_of(extra: tuple[tuple[str, tuple[str, ...]], ...]) -> Lexicon:
    """The lexicon with the labels of a schema, built once."""
    return Lexicon(dict(extra))


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
    """The currency in the row of the total, or else the most frequent one."""
    candidates: list[Candidate] = []
    for cell in document.cells:
        for value in find_currencies(cell.text):
            code = document.context.currency(value.readings)
            if code is None:
                continue
            candidate = Candidate(code, cell, value.start, value.end, 0.5, value.readings)
            if total is not None and cell.page == total.cell.page:
                candidate.score += 0.35 * same_row(candidate.box, total.box)
            candidates.append(candidate)
    codes = [candidate.value for candidate in candidates]
    for candidate in candidates:
        candidate.score += 0.15 * codes.count(candidate.value) / len(codes)
    return best(candidates)


def find_type(
    document: Document, rankings: Mapping[str, Sequence[Candidate]], schema: str
) -> tuple[str, Cell | None]:
    """One of the types in the schema, and its title; `schema` is the type without a title.

    The largest title decides. A page without one is an invoice or a receipt if its number, date and
    total have labels of their own; else it is another page.
    """
    titles = sorted(_titles(document), key=lambda x: (-round(document.size(x[1]), 1), x[1].page))
    kind, cell = next(iter(titles), ("", None))
    winners = [best(rankings.get(name, ())) for name in ("invoice_number", "date", "total")]
    total = winners[-1]
    if kind in ("", "invoice") and total is not None and decimal(total) < 0:
        return "credit_note", total.cell
    if kind == "" and not all(w is not None and w.is_labeled for w in winners):
        return "other", None
    return (schema if kind in ("", "invoice") else kind), cell


def _titles(document: Document) -> Iterator[tuple[str, Cell]]:
    """The cells that begin with a title and go on with little else than numbers."""
    for cell in document.cells:
        letters = squeeze(cell.text)
        names = [title for title in type_titles() if letters.startswith(title)]
        labels = [x for x in document.labels[cell] if x.start == 0]
        length = max(map(len, names), default=0)
        if names and len(re.sub(r"\d", "", letters[length:])) <= MAX_LETTERS:
            yield type_titles()[max(names, key=len)], cell
        elif labels and labels[0].kinds & {"document_title", "invoice_number", "receipt_number"}:
            yield "invoice", cell


# ── values and evidence ─────────────────────────────────────────────────────────────────────


def _certainty(winner: Candidate, ranking: Sequence[Candidate]) -> float:
    """How far a winner is above the threshold and the best other value, 0 to 1."""
    rival = max((c.score for c in ranking if c.value != winner.value), default=0.0)
    margin = 4 * (winner.score - THRESHOLD) + 3 * min(winner.score - rival, 0.5)
    return 1 / (1 + math.exp(-margin))


def _other_reading(document: Document, field: Field, winner: Candidate) -> str:
    """What else an ambiguous date or symbol may be, if the page does not show it."""
    context, readings = document.context, winner.readings
    is_sure = context.is_dated if field.kind == "date" else context.is_sure_of(readings)
    others = [str(x) for x in dict.fromkeys(readings.values()) if x != winner.value]
    return f"{winner.raw} may also be {', '.join(others[:3])}" if others and not is_sure else ""
