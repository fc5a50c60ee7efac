"""The type of a document: invoice, receipt, credit note, pro forma, quote, or another page.

    find_type(document, rankings, "invoice")        # "credit_note"

The largest title decides. A page without one is an invoice or a receipt only if there is a total,
and MIN_SIGNS things speak for it: the total has a currency, sums up other amounts, or is the amount
due; a tax, a payment that covers it, a number or a date next to its label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from vision_app.extract.cells import Cell
from vision_app.extract.rules.document import Document, type_titles
from vision_app.extract.rules.scoring import (
    THRESHOLD,
    Candidate,
    amounts_of,
    decimal,
    words_beside,
)
from vision_app.extract.values import find_currencies, squeeze

MAX_LETTERS = 8  # behind a title, apart from digits
MAX_WORDS = 3  # next to the label of a total; more are a sentence
MIN_SIGNS = 2
TITLE = 1.15  # size of a title on a page without total and number, over that of the text


def find_type(
    document: Document, rankings: Mapping[str, Sequence[Candidate]], schema: str
) -> tuple[str, Cell | None]:
    """One of the types in the schema, and its title; `schema` is the type without a title."""
    titles = sorted(_titles(document), key=lambda x: (-round(document.size(x[1]), 1), x[1].page))
    if any(kind == "invoice" for kind, _ in titles):  # whose quote or delivery note is mentioned
        titles = [each for each in titles if each[0] not in ("quote", "other")]
    kind, cell = titles[0] if titles else ("", None)
    totals = [c for c in rankings.get("total", ()) if c.score >= THRESHOLD]
    numbers = [c for c in rankings.get("invoice_number", ()) if c.score >= THRESHOLD]
    if cell is not None and not (totals or numbers) and document.size(cell) < TITLE:
        kind, cell = "", None  # "Tax receipts grew by 1.9 %"
    if kind in ("", "invoice") and totals and decimal(totals[0]) < 0:
        return "credit_note", totals[0].cell
    if kind == "" and _count_signs(document, rankings) < MIN_SIGNS:
        return "other", None
    return (schema if kind in ("", "invoice") else kind), cell


def _titles(document: Document) -> Iterator[tuple[str, Cell]]:
    """The cells that begin with a title and go on with little else than numbers."""
    for cell in document.cells:
        if any(re.search(r"[.,]\d\d$", v.raw) for v in amounts_of(cell)):
            continue
        letters = squeeze(cell.text)
        names = [title for title in type_titles() if letters.startswith(title)]
        labels = [x for x in document.labels[cell] if x.start == 0]
        length = max(map(len, names), default=0)
        if names and _is_alone(letters[length:]):
            yield type_titles()[max(names, key=len)], cell
        elif labels and labels[0].kinds & {"document_title", "invoice_number", "receipt_number"}:
            yield "invoice", cell


def _is_alone(rest: str) -> bool:
    return len(re.sub(r"\d", "", rest)) <= MAX_LETTERS


def _count_signs(document: Document, rankings: Mapping[str, Sequence[Candidate]]) -> int:
    """How many things speak for an invoice or a receipt; 0 without a total outside of sentences."""
    total = next((c for c in rankings.get("total", ()) if c.score >= THRESHOLD), None)
    if total is None or words_beside(document, total.cell, 0) > MAX_WORDS:
        return 0
    paid = [c for c in rankings.get("total", ()) if c.labeled("paid") and c.value == total.value]
    names = ("invoice_number", "date")
    signs = (
        bool(find_currencies(total.cell.text)),
        total.adds_up,
        total.labeled("amount_due") or total.labeled("gross_total"),
        any(c.score >= THRESHOLD and c.labeled("tax") for c in rankings.get("tax", ())),
        bool(paid),
        *(any(c.score >= THRESHOLD for c in rankings.get(name, ())) for name in names),
    )
    return sum(signs)
