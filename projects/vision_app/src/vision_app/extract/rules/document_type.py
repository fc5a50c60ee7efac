"""Tells invoices and receipts from credit notes, pro formas, quotes, and pages that are neither.

    find_type(document, rankings, "invoice")        # "credit_note"

The largest title decides. A page without one is an invoice or a receipt only if two things
speak for it: a total with decimals or a currency, amounts that add up to it, a tax, a payment, a
number next to its label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from vision_app.extract.cells import Cell
from vision_app.extract.rules.document import Document, type_titles
from vision_app.extract.rules.scoring import THRESHOLD, Candidate, amounts_of, decimal
from vision_app.extract.values import find_currencies, squeeze

MAX_LETTERS = 8  # behind a title, apart from digits


def find_type(
    document: Document, rankings: Mapping[str, Sequence[Candidate]], schema: str
) -> tuple[str, Cell | None]:
    """One of the types in the schema, and its title; `schema` is the type without a title."""
    titles = sorted(_titles(document), key=lambda x: (-round(document.size(x[1]), 1), x[1].page))
    if any(kind == "invoice" for kind, _ in titles):  # whose quote or delivery note is mentioned
        titles = [each for each in titles if each[0] not in ("quote", "other")]
    kind, cell = titles[0] if titles else ("", None)
    totals = [c for c in rankings.get("total", ()) if c.score >= THRESHOLD]
    if kind in ("", "invoice") and totals and decimal(totals[0]) < 0:
        return "credit_note", totals[0].cell
    if kind == "" and _count_signs(document, rankings) < 2:
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
    """How many things speak for an invoice or a receipt."""
    total = next((c for c in rankings.get("total", ()) if c.score >= THRESHOLD), None)
    labels = [label for group in document.labels.values() for label in group]
    kinds = {kind for label in labels for kind in label.kinds}
    parts = kinds & {"tax", "paid", "subtotal", "amount_due", "gross_total"}
    if total is None:
        return 0
    text = total.cell.text
    priced = bool(find_currencies(text) or re.search(r"[.,]\d\d", text))
    number = any(c.score >= THRESHOLD for c in rankings.get("invoice_number", ()))
    return 2 * bool(priced and parts) + priced + number + total.adds_up
