"""Fills a schema from the words of a document, with the evidence of every field.

    extraction = extract(pages, (), load_schema("invoice"))
    extraction.fields["total"], extraction.evidence["total"].box

The rules know labels in sixteen languages (`labels/`), and choose among all values on the pages by
additive scores (`scoring`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import product

from vision_app.extract.cells import Cell, same_row
from vision_app.extract.extraction import Evidence, Extraction, check_sums, to_json
from vision_app.extract.rules.document import Document, Lexicon
from vision_app.extract.rules.document_type import find_type
from vision_app.extract.rules.scoring import (
    SCORERS,
    THRESHOLD,
    Candidate,
    best,
    decimal,
)
from vision_app.extract.rules.vendor import has_second_place, score_vendors
from vision_app.extract.schemas import Field, Schema
from vision_app.extract.values import find_currencies
from vision_app.files.pixels import Pixels
from vision_app.ocr.page import Page

TYPE = "document_type"
SUMS = {"total", "subtotal", "tax"}
EXACT = 0.97  # the certainty of amounts that agree with each other to the cent
# Without that, a label alone does not prove these.
UNCONFIRMED = {"subtotal": 0.85, "tax": 0.85}
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
    # 3. The type of the document, which empties no field.
    typed = {f.name: rankings[f.name] for f in schema.fields if f.kind not in ("flag", "texts")}
    untitled = schema.name if schema.built_in else "invoice"
    kind, title = find_type(document, typed, untitled)
    if kind == "credit_note":
        rankings |= {name: _of_credit_note(ranking) for name, ranking in rankings.items()}
    # 4. Subtotal and tax have to agree with the total; the currency is the one next to it.
    winners = {name: best(ranking) for name, ranking in rankings.items()}
    warnings = [*document.warnings]
    amounts = {f.name: rankings[f.name] for f in schema.fields if f.kind == "amount"}
    exact = _balance(amounts, winners, document, warnings)
    for field in schema.fields:
        if field.kind == "currency":
            winners[field.name] = find_currency(document, winners.get("total"))
    # 5. Write the values as the schema has them.
    fields = {
        name: to_json(field, winner.value, warnings) if (winner := winners[name]) else None
        for name, field in ((field.name, field) for field in schema.fields)
    }
    guesses = {
        field.name: guess
        for field in schema.fields
        if fields[field.name] is not None
        and (guess := _other_reading(document, field, winners[field.name]))
    }
    warnings += [f"{name}: {guess}" for name, guess in guesses.items()]
    # 6. Show the places in the images.
    evidence = {
        name: _evidence(document, name, winner, rankings[name], exact=exact, guess=name in guesses)
        for name, winner in winners.items()
        if winner is not None and fields[name] is not None
    }
    for field in schema.fields:
        if field.kind == TYPE:
            fields[TYPE] = to_json(field, kind, warnings)
            evidence[TYPE] = _evidence_of_type(document, title)
            if title is None:
                warnings.append(f"{TYPE}: no title says so")
    return Extraction(fields, evidence, tuple(warnings))


def _balance(
    rankings: Mapping[str, Sequence[Candidate]],
    winners: dict[str, Candidate | None],
    document: Document,
    warnings: list[str],
) -> bool:
    """Whether subtotal, tax and total agree; what contradicts the total becomes None."""
    total = winners["total"] if "total" in rankings else None
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
        single.pop("tax", None)  # that it is included is not proven
    if check_sums({**single, "total": decimal(total)}, document.pages):
        single = {}
    for name, ranking in (("subtotal", nets), ("tax", taxes)):
        if ranking and name not in single:
            winners[name] = None
            reason = "the amounts next to its label do not agree with the total"
            warnings.append(f"{name}: {reason} {decimal(total)}")
    return False


def _of_credit_note(ranking: list[Candidate]) -> list[Candidate]:
    """The ranking without what belongs to the invoice that a credit note refers to.

    Where both a "date" and an "invoice date" are printed, the latter is the invoice's.
    """
    plain = [c for c in ranking if not any("invoice_date" in x.label.kinds for x in c.links[:1])]
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
            candidate = Candidate(code, cell, value.start, value.end, 0.5, value.readings)
            candidate.score += 0.3 * any(label.end <= value.start for label in labels)
            if total is not None and cell is total.cell:
                gap = max(value.start - total.end, total.start - value.end)
                candidate.score += 0.45 if gap <= 2 else 0.3
            elif total is not None and cell.page == total.cell.page:
                candidate.score += 0.35 * same_row(candidate.box, total.box)
            candidates.append(candidate)
    codes = [candidate.value for candidate in candidates]
    for candidate in candidates:
        candidate.score += 0.15 * codes.count(candidate.value) / len(codes)
    return best(candidates)


# ── values and evidence ─────────────────────────────────────────────────────────────────────


def _evidence(
    document: Document,
    name: str,
    winner: Candidate,
    ranking: Sequence[Candidate],
    *,
    exact: bool,
    guess: bool,
) -> Evidence:
    words = winner.cell.words_in(winner.start, winner.end)
    rival = max((c.score for c in ranking if c.value != winner.value), default=0.0)
    margin = 4 * (winner.score - THRESHOLD) + 3 * min(winner.score - rival, 0.5)
    certainty = 1 / (1 + math.exp(-margin))
    if name in SUMS and exact:
        certainty = max(certainty, EXACT)
    elif name in UNCONFIRMED:
        certainty = min(certainty, UNCONFIRMED[name])
    if guess or (name == "vendor" and not has_second_place(document, winner)):
        certainty = min(certainty, UNPROVEN)
    confidence = min(word.confidence for word in words) * certainty
    page = document.page_of(winner.cell)
    text = " ".join(word.text for word in words)
    return Evidence(text, page.to_input(winner.box), page.number, confidence)


def _other_reading(document: Document, field: Field, winner: Candidate) -> str:
    """What else an ambiguous date or symbol may be, if the page does not show it."""
    context, readings = document.context, winner.readings
    is_sure = context.is_dated if field.kind == "date" else context.is_sure_of(readings)
    others = [str(x) for x in dict.fromkeys(readings.values()) if x != winner.value]
    text = winner.cell.text[winner.start : winner.end]
    return f"{text} may also be {', '.join(others[:3])}" if others and not is_sure else ""


def _evidence_of_type(document: Document, title: Cell | None) -> Evidence:
    if title is None:
        return Evidence("", None, 1, 0.5)
    page = document.page_of(title)
    return Evidence(title.text, page.to_input(title.box), page.number, 0.9)
