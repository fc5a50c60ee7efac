"""Finds who issued the document.

    score_vendors(document, field)       # every line of text as a name, with its evidence

A vendor's name is large, at the top, behind a label, or repeated in the footer. It is not a title,
or in the customer's block.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vision_app.extract.cells import Cell, same_row
from vision_app.extract.rules.document import Document, Label
from vision_app.extract.rules.scoring import Candidate
from vision_app.extract.schemas import Field
from vision_app.extract.values import find_currencies, squeeze

_CONTACT = re.compile(
    r"@|www\.|https?:|\.(?:com|de|fr|net|org|co\.uk)\b|\b(?:tel|fax|phone)\b", re.I
)
_ADDRESS = re.compile(r"@|www\.|https?:", re.I)
MAX_NAME = 200  # characters of a line that may be a name
_NAME_ENDING = re.compile(r"[\s,]*[(\[][^()\[\]]*\d[^()\[\]]*[)\]]\s*$|^[\W_]+|[\s:;,|*\-–_]+$")
# Forms of address: a person who is addressed is the customer. Without "Dr", as in a practice.
_PERSON = re.compile(
    r"(?:mr|mrs|ms|miss|herrn?|frau|familie|mme|mlle|monsieur|madame|sra?|sig(?:\.ra)?|dhr|mevr|hr|fru)"
    r"\.?\s",
    re.I,
)


def score_vendors(document: Document, _: Field) -> list[Candidate]:
    """Every line of the first page that could be the vendor's name."""
    first = document.on_page[document.pages[0].number]
    customers = _customer_block(document, first)
    candidates = []
    for cell in first:
        name = cell.text
        if len(name) > MAX_NAME:
            continue
        label = _leading_label(document, cell, "vendor")
        if label and ":" in name[label.end : label.end + 2]:
            name = name[label.end :].strip(" :")
        start = cell.text.index(name)
        end, name = start + len(name), clean_name(name)
        is_other = _ADDRESS.search(name) or any(x.raw == name for x in find_currencies(cell.text))
        if len(squeeze(name)) < 2 or sum(map(str.isalpha, name)) < 2 or is_other:
            continue
        candidate = Candidate(name, cell, start, end)
        candidate.score = _score_text(candidate, document) + _score_place(candidate, document)
        candidate.score -= 0.8 * (cell in customers)
        candidate.score += 0.15 * has_second_place(document, candidate)
        candidates.append(candidate)
    return candidates


def _leading_label(document: Document, cell: Cell, kind: str) -> Label | None:
    """The label of this kind that a cell begins with."""
    labels = (x for x in document.labels[cell] if kind in x.kinds and x.start == 0)
    return next(labels, None)


def clean_name(name: str) -> str:
    """A name without registration numbers in brackets and punctuation at the ends.

    >>> clean_name("ABC Trading Sdn Bhd (123456-A)"), clean_name("* Café Luna *")
    ('ABC Trading Sdn Bhd', 'Café Luna')
    """
    before = ""
    while before != name:
        before, name = name, _NAME_ENDING.sub("", name).strip()
    return name


def _score_text(candidate: Candidate, document: Document) -> float:
    """What the words say: labels, digits and a form of address speak against a name."""
    labels, name = document.labels[candidate.cell], str(candidate.value)
    covered = sum(label.end - label.start for label in labels if label.end <= candidate.end)
    digits = sum(map(str.isdigit, name))
    score = -0.7 * (candidate.start == 0 and covered > 0.6 * len(candidate.cell.text))
    return score - (0.12 + 0.03 * digits) * (digits > 0) - 0.3 * bool(_PERSON.match(name))


def _score_place(candidate: Candidate, document: Document) -> float:
    """Where it is and how large: letterheads are large and at the top."""
    cell, cells = candidate.cell, document.on_page[candidate.cell.page]
    top, bottom = min(c.box[1] for c in cells), max(c.box[3] for c in cells)
    depth = (cell.box[1] - top) / max(bottom - top, 1)
    above = {
        round(c.box[1] / document.height)
        for c in cells
        if c.box[3] <= cell.box[1] + 2 and not document.labels[c]
    }
    size = document.size(cell)
    letterhead = max(0.0, 0.48 - 0.04 * len(above)) + min(0.35, 0.35 * max(0.0, size - 1.1))
    return letterhead * (depth < 0.5) + 0.3 * (candidate.start > 0) - 0.06 * (size < 0.97)


def has_second_place(document: Document, vendor: Candidate) -> bool:
    """Whether a second place has the name, and not a longer one: a footer, an address, a site."""
    name = squeeze(str(vendor.value))
    words = [squeeze(word) for word in re.findall(r"[^\W\d_]{4,}", str(vendor.value))]
    form = r"\W*".join(map(re.escape, re.findall(r"\w+", str(vendor.value))))
    whole = re.compile(rf"(?<!\w){form}(?!\s*[^\W\d_])", re.I)
    return any(
        (len(name) > 4 and name in letters and whole.search(cell.text))
        or (any(word in letters for word in words) and _CONTACT.search(cell.text))
        for cell, letters in document.letters.items()
        if cell is not vendor.cell
    )


def _customer_block(document: Document, cells: Sequence[Cell]) -> set[Cell]:
    """The cells under or beside a label such as "Bill to", down to a gap."""
    block: set[Cell] = set()
    for cell in cells:
        if _leading_label(document, cell, "customer") is None:
            continue
        block.add(cell)
        bottom, left = cell.box[3], cell.box[0]
        for other in cells:
            gap = (other.box[1] - bottom) / max(document.height, cell.height)
            right = 0 <= other.box[0] - cell.box[2] < 6 * cell.height
            if right and same_row(other.box, cell.box):
                block.add(other)
                left = other.box[0]
            elif abs(other.box[0] - left) < 2 * cell.height and -0.1 <= gap < 1.3:
                block.add(other)
                bottom = max(bottom, other.box[3])
    return block
