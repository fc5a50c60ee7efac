"""The type of a document: invoice, receipt, credit note, pro forma, quote, or another page.

    find_type(document, rankings, "invoice")        # "credit_note", and the cell of its title

The largest title decides. A page without one is an invoice or a receipt if its number, date and
total have labels of their own; else it is another page. The type empties no field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from vision_app.extract.cells import Cell
from vision_app.extract.rules.document import Document, type_titles
from vision_app.extract.rules.scoring import Candidate, amounts_of, best, decimal
from vision_app.extract.values import squeeze

MAX_LETTERS = 8  # behind a title, apart from digits
TITLE = 1.15  # size of a title on a page without labeled fields, over that of the text


def find_type(
    document: Document, rankings: Mapping[str, Sequence[Candidate]], schema: str
) -> tuple[str, Cell | None]:
    """One of the types in the schema, and its title; `schema` is the type without a title."""
    titles = sorted(_titles(document), key=lambda x: (-round(document.size(x[1]), 1), x[1].page))
    if any(kind == "invoice" for kind, _ in titles):  # whose quote or delivery note is mentioned
        titles = [each for each in titles if each[0] not in ("quote", "other")]
    kind, cell = titles[0] if titles else ("", None)
    names = ("invoice_number", "date", "total")
    winners = [best(rankings.get(name, ())) for name in names]
    labeled = [w for w in winners if w is not None and w.is_labeled]
    if cell is not None and not labeled and document.size(cell) < TITLE:
        kind, cell = "", None  # "Tax receipts grew by 1.9 %"
    total = winners[-1]
    if kind in ("", "invoice") and total is not None and decimal(total) < 0:
        return "credit_note", total.cell
    if kind == "" and len(labeled) < len(names):
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
