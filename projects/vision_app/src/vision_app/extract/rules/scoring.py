"""Scores values against labels: which value on the page is the invoice date, which the total.

    candidates = score_dates(document, field)
    best(candidates)                      # the candidate with the highest score, or None

Each value on the page is a candidate. Its score adds up the evidence: how well a label of the field
is attached to it (in front of it, left in the row, above), whether a label of another kind is
nearer, and what is typical for the field. Below THRESHOLD the field is not on the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property

from vision_app.extract.cells import Cell, same_column, same_row
from vision_app.extract.rules.document import Document, Label
from vision_app.extract.schemas import ROLES, Field
from vision_app.extract.values import (
    Value,
    find_amounts,
    find_dates,
    find_numbers,
    find_times,
)
from vision_app.ocr.page import Box

THRESHOLD = 0.45
OWN_NUMBERS = {"invoice_number", "receipt_number", "document_title", "plain_number"}
DATES = {"invoice_date", "plain_date", "paid_date", "due_date", "other_date"}
AMOUNTS = {"amount_due", "gross_total", "total", "subtotal", "tax", "paid"}
NEUTRAL = {"currency", "item_header", "vendor", "customer", "time"}  # never the rival of a number
_CODE = re.compile(r"\S*(?:@|www\.|https?:)\S*|\d[\d.,' ]*%|\(\d+\)")
Spans = Mapping[Cell, Sequence[Value]]
"""The values of one type in each cell."""


@dataclass(frozen=True, eq=False)
class Link:
    """A label that may belong to a value; `strength` is 0 to 1."""

    label: Label
    cell: Cell
    strength: float
    relation: str


@dataclass(eq=False)
class Candidate:
    """A value with its place, score and labels, the best first; `readings` are those of `Value`."""

    value: object
    cell: Cell
    start: int
    end: int
    score: float = 0.0
    readings: Mapping[str, object] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)

    @cached_property
    def box(self) -> Box:
        """Where the value is, in pixels of the upright page."""
        return self.cell.box_of(self.start, self.end)

    @property
    def raw(self) -> str:
        """The value as it is printed."""
        return self.cell.text[self.start : self.end]

    @property
    def is_labeled(self) -> bool:
        """Whether a label belongs to the value."""
        return any(link.strength >= 0.35 for link in self.links[:1])


def best(candidates: Iterable[Candidate]) -> Candidate | None:
    """The candidate with the highest score, if it reaches the threshold."""
    top = max(candidates, key=lambda candidate: candidate.score, default=None)
    return top if top is not None and top.score >= THRESHOLD else None


# ── labels of a value ───────────────────────────────────────────────────────────────────────


def links(document: Document, value: Candidate, kinds: set[str], spans: Spans) -> list[Link]:
    """The labels of these kinds around a value; `spans` are all values of its type."""
    result = []
    for cell in document.on_page[value.cell.page]:
        for label in document.labels[cell]:
            if not label.kinds & kinds or _continues(document, cell, label, spans):
                continue
            if cell is value.cell:
                relation, strength = "inside", _inside(document, label, value)
            elif same_row(cell.box_of(label.start, label.end), value.box):
                relation, strength = "left", _left(document, cell, label, value)
            else:
                relation, strength = "above", _above(document, cell, label, value, spans)
            if strength is not None:
                strength -= _foreign_word(cell, label)
                result.append(Link(label, cell, strength, relation))
    return result


def _continues(document: Document, cell: Cell, label: Label, spans: Spans) -> bool:
    """Whether an amount's label goes on with this one: "Total for 3 items", "Total and VAT"."""
    return bool(label.kinds & AMOUNTS) and any(
        other.kinds & AMOUNTS
        and other.end <= label.start
        and not any(other.end <= v.start < label.start for v in spans.get(cell, ()))
        for other in document.labels[cell]
    )


def _inside(document: Document, label: Label, value: Candidate) -> float | None:
    """The strength of a label in the cell of the value."""
    if label.end > value.start:
        return None
    return 1 - 0.06 * words_beside(document, value.cell, label.end, value.start)


def _left(document: Document, cell: Cell, label: Label, value: Candidate) -> float | None:
    """The strength of a label in the row of the value, before it."""
    right, left = cell.box_of(label.start, label.end)[2], value.box[0]
    if right > left + 0.3 * document.height:
        return None
    gap = (left - right) / document.page_of(cell).width
    words = words_beside(document, cell, label.end)
    words += words_beside(document, value.cell, 0, value.start)
    return 0.95 - 0.1 * gap - 0.06 * words


def _above(
    document: Document, cell: Cell, label: Label, value: Candidate, spans: Spans
) -> float | None:
    """The strength of a label above the value that has no value of its own."""
    place, box = cell.box_of(label.start, label.end), value.box
    gap = (box[1] - place[3]) / document.height
    if not same_column(place, box) or place[1] > box[1] or gap > 4:
        return None
    if any(v.start >= label.end for v in spans.get(cell, ())):
        return None
    between = [
        c
        for c in document.on_page[cell.page]
        if c not in (cell, value.cell)
        and same_column(c.box, box)
        and place[3] - 2 <= (c.box[1] + c.box[3]) / 2 <= box[1] + 2
    ]
    return 0.85 - 0.04 * max(gap, 0) - 0.25 * len(between)


def words_beside(document: Document, cell: Cell, start: int, end: int | None = None) -> int:
    """The number of words between two characters that are not labels, at most 8."""
    rest = _blank(cell.text, [(x.start, x.end) for x in document.labels[cell]])[start:end]
    return min(8, len(re.findall(r"[^\W\d_]{2,}", rest)))


def _blank(text: str, spans: Iterable[tuple[int, int]], char: str = " ") -> str:
    for start, end in spans:
        text = text[:start] + char * (end - start) + text[end:]
    return text


def _foreign_word(cell: Cell, label: Label) -> float:
    """A penalty for an unknown word in front of the label: "appointment date", "started on"."""
    before = re.search(r"([^\W\d_]+)[ \-]?$", cell.text[: label.start])
    short = label.kinds & DATES and label.end - label.start <= 3
    return (0.6 if short else 0.4) if before else 0.0


def _score_by_links(
    document: Document,
    spans: Spans,
    kinds: set[str],
    target: Field,
    adjust: Callable[[Document, Link, Candidate], Link] = lambda _, link, __: link,
) -> list[Candidate]:
    """Every value as a candidate, with the score of its labels.

    The nearest label wins: the best one of the field counts, unless one of another field is nearer.
    Of equal candidates the upper one is best; of amounts the lower one, as totals are at the
    bottom.
    """

    def weight(link: Link) -> float:
        return max(target.roles.get(kind, 0.0) for kind in link.label.kinds)

    candidates = []
    for cell, value in ((cell, value) for cell, values in spans.items() for value in values):
        unique = "" in value.readings
        reading = value.readings[""] if unique else document.context.date(value)
        candidate = Candidate(reading, cell, value.start, value.end, readings=value.readings)
        near = [adjust(document, x, candidate) for x in links(document, candidate, kinds, spans)]
        candidate.links = sorted(near, key=lambda link: -link.strength)
        scores = {link: link.strength * weight(link) for link in candidate.links if weight(link)}
        rival = max((link.strength for link in near if not weight(link)), default=0.0)
        if scores:
            own = max(scores, key=lambda link: scores[link])
            candidate.score += scores[own] - 0.5 * (own.strength < rival)
        depth = cell.box[1] / max(document.page_of(cell).height, 1)
        candidate.score += 0.01 * (depth if isinstance(reading, Decimal) else 1 - depth)
        candidates.append(candidate)
    return candidates


# ── fields ──────────────────────────────────────────────────────────────────────────────────


def score_dates(document: Document, target: Field) -> list[Candidate]:
    """Every date on the page for a date field."""
    # Invoices are of our time; a field of a user's schema may be a date of birth.
    years = range(1990, 2061) if target.name in ROLES else range(1800, 2201)
    spans = {cell: find_dates(cell.text, years=years) for cell in document.cells}
    kinds = DATES | set(target.roles)
    candidates = _score_by_links(document, spans, kinds, target, _own_date)
    for candidate in candidates:
        if target.name == "date" and not candidate.is_labeled:
            # An unlabeled date is the document's if it is alone in its line.
            row, text = document.row_of(candidate.cell), candidate.cell.text
            before = [c.text for c in row if c.box[2] <= candidate.cell.box[0]]
            before.append(text[: candidate.start].rstrip())
            words = re.findall(r"[^\W\d_]{3,}", f"{before[-1]} {text[candidate.end :]}")
            candidate.score += 0.54 if len(words) <= 2 else 0.31
            candidate.score -= 0.3 * any(part.endswith(":") for part in before)
    return candidates


def _own_date(document: Document, link: Link, _: Candidate) -> Link:
    """The link; its label becomes "other_date" after the number of another document.

    As in "zu Ihrer Rechnung Nr. 12 vom 3.3." and "Devis D39 du 3 mars", unlike "Rechnung 12 vom".
    """
    own = any(x.start < 3 and x.kinds & OWN_NUMBERS for x in document.labels[link.cell])
    number = re.search(r"\d", link.cell.text[: link.label.start])
    if link.relation != "inside" or "plain_date" not in link.label.kinds or own or not number:
        return link
    return replace(link, label=replace(link.label, kinds={"other_date"}))


def score_amounts(document: Document, target: Field) -> list[Candidate]:
    """Every amount that is not part of a date; the largest one is likelier to be the `total`."""
    spans = {}
    for cell in document.cells:
        days = [range(x.start, x.end) for x in find_dates(cell.text)]
        spans[cell] = [x for x in find_amounts(cell.text) if not any(x.start in d for d in days)]
    kinds = AMOUNTS | set(target.roles) | {"other_number", "order_number", "invoice_number"}
    candidates = _score_by_links(document, spans, kinds, target)
    for candidate in candidates:
        candidate.score -= 0.3 * candidate.raw.isdigit()  # a quantity, or a number of something
    if target.name == "total":
        largest = max((decimal(c) for c in candidates if c.score > 0.3), key=abs, default=None)
        for candidate in candidates:
            candidate.score += 0.06 * (candidate.value == largest) - (candidate.value == 0)
    return candidates


def decimal(candidate: Candidate) -> Decimal:
    assert isinstance(candidate.value, Decimal)
    return candidate.value


def score_numbers(document: Document, target: Field) -> list[Candidate]:
    """Every number with a label for the number of a document."""
    spans = {cell: _numbers_of(document, cell) for cell in document.cells}
    every_kind = {k for labels in document.labels.values() for label in labels for k in label.kinds}
    kinds = (every_kind - NEUTRAL) | set(target.roles)
    candidates = _score_by_links(document, spans, kinds, target, _titled)
    for candidate in candidates:
        digits = sum(map(str.isdigit, candidate.raw))
        candidate.score += 0.03 * (digits >= 3) - 0.1 * (len(candidate.raw) == 1)
    return candidates


def _numbers_of(document: Document, cell: Cell) -> list[Value]:
    """The numbers in a cell that aren't part of a label, a date, a time, an address or a share."""
    masks = [(label.start, label.end) for label in document.labels[cell]]
    masks += [(x.start, x.end) for x in (*find_dates(cell.text), *find_times(cell.text))]
    masks += [match.span() for match in _CODE.finditer(cell.text)]
    return find_numbers(_blank(cell.text, masks, "\0"))


def _titled(document: Document, link: Link, value: Candidate) -> Link:
    """Only a number right behind the title, as in "Rechnung 2024-118", belongs to it."""
    weak = link.label.kinds & {"document_title", "receipt_number", "plain_number"}
    if not weak or "invoice_number" in link.label.kinds:
        return link
    text, number, strength = value.cell.text, value.raw, link.strength
    if link.relation == "inside":
        near = re.fullmatch(r"[\s:#.\-–]*", text[link.label.end : value.start])
        strength -= 0.4 * (not near and link.label.end - link.label.start <= 8)
    elif "document_title" in link.label.kinds:
        digits = sum(map(str.isdigit, number))
        small = link.cell.height < 1.25 * document.height and digits >= 4
        mark = (
            text[: value.start].strip() == "#"
            or (re.search(r"[A-Za-z]", number) and digits >= 3)
            or (link.relation == "left" and small and number == text)
        )
        strength -= 0.05 if mark else 0.5
    return replace(link, strength=strength)


def score_times(document: Document, target: Field) -> list[Candidate]:
    """Every time of day with a label."""
    spans = {cell: find_times(cell.text) for cell in document.cells}
    return _score_by_links(document, spans, set(target.roles), target)


def score_texts(document: Document, target: Field) -> list[Candidate]:
    """What follows a label of the field, in its cell, to the right or below, as text.

    Only the labels of the user's schema end a text: those that are built in may be part of it.
    """
    candidates = []
    form = target.pattern or re.compile(r"[\w+].*")
    allowed = {value.casefold() for value in target.enum}
    own = {
        cell: [x for x in labels if any(kind.startswith("field:") for kind in x.kinds)]
        for cell, labels in document.labels.items()
    }
    for cell, labels in own.items():
        ends = [*(x.start for x in labels[1:]), len(cell.text)]
        for label, end in zip(labels, ends, strict=False):
            if not label.kinds & target.roles.keys():
                continue
            for place, start, stop, strength in _places_of(document, cell, label, end, own):
                match = form.search(place.text[start:stop])
                text = match[0].strip(" :;,-") if match else ""
                if match and (not allowed or text.casefold() in allowed):
                    first, last = start + match.start(), start + match.end()
                    candidates.append(Candidate(text, place, first, last, strength))
    return candidates


def _places_of(
    document: Document, cell: Cell, label: Label, end: int, own: Mapping[Cell, Sequence[Label]]
) -> Iterator[tuple[Cell, int, int, float]]:
    """Where the text of a label may be, and how likely: behind it, else to the right or below."""
    if re.search(r"\w", cell.text[label.end : end]):
        yield cell, label.end, end, 1.0
        return
    box, width = cell.box_of(label.start, label.end), document.page_of(cell).width
    for other in document.on_page[cell.page]:
        if other is cell or any(x.start == 0 for x in own[other]):
            continue
        gap = other.box[1] - box[3]
        if same_row(other.box, box) and other.box[0] >= box[2]:
            yield other, 0, len(other.text), 0.9 - 0.3 * (other.box[0] - box[2]) / width
        elif same_column(other.box, box) and -0.4 <= gap / (box[3] - box[1]) < 2.5:
            yield other, 0, len(other.text), 0.8 - 0.6 * max(gap, 0) / width


SCORERS: dict[str, Callable[[Document, Field], list[Candidate]]] = {
    "date": score_dates,
    "amount": score_amounts,
    "integer": score_amounts,
    "number": score_numbers,
    "text": score_texts,
    "time": score_times,
}
