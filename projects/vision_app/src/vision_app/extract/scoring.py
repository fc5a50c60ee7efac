"""Scores values against labels: which value on the page is the invoice date, which the total.

    candidates = score_dates(document, field)
    best(candidates)                      # the candidate with the highest score, or None

Each value on the page is a candidate. Its score adds up the evidence: how well a label of the field
is attached to it (in front of it, left in the row, above), whether a label of another kind is
nearer, and what is typical for the field. Below THRESHOLD the field is not on the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise

from vision_app.extract.document import Cell, Document, Label, same_column, same_row
from vision_app.extract.schemas import Field
from vision_app.extract.values import (
    Value,
    find_amounts,
    find_currencies,
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
Spans = Mapping[Cell, Sequence[Value]]


@dataclass
class Candidate:
    """A value with its place, its score, and the reasons for it (for debugging and reports)."""

    value: object
    cell: Cell
    start: int
    end: int
    score: float
    reasons: dict[str, float] = field(default_factory=dict)

    def add(self, reason: str, score: float) -> None:
        """Add one piece of evidence."""
        if score:
            self.reasons[reason] = self.reasons.get(reason, 0.0) + score
            self.score += score

    @property
    def box(self) -> Box:
        """Where the value is, in pixels of the upright page."""
        return self.cell.box_of(self.start, self.end)


@dataclass(frozen=True)
class Link:
    """A label that may belong to a value; `strength` is 0 to 1."""

    label: Label
    cell: Cell
    strength: float
    relation: str


def best(candidates: Iterable[Candidate]) -> Candidate | None:
    """The candidate with the highest score, if it reaches the threshold."""
    top = max(candidates, key=lambda candidate: candidate.score, default=None)
    return top if top is not None and top.score >= THRESHOLD else None


# ── labels of a value ───────────────────────────────────────────────────────────────────────


def links(
    document: Document, cell: Cell, value: Value, kinds: set[str], spans: Spans
) -> list[Link]:
    """The labels of these kinds around a value, the best first; `spans` are all its likes."""
    result = []
    box = cell.box_of(value.start, value.end)
    for other in document.on_page[cell.page]:
        for label in document.labels[other]:
            inside = other is cell and label.start < value.end and value.start < label.end
            if label.kinds & kinds and not inside and not _continues(document, other, label, spans):
                link = _inside(document, cell, value, label, spans) if other is cell else None
                if other is not cell:
                    label_box = other.box_of(label.start, label.end)
                    if same_row(label_box, box):
                        link = _left(document, other, label, label_box, cell, value, box, spans)
                    else:
                        link = _above(document, other, label, label_box, cell, value, box, spans)
                if link is not None:
                    result.append(link)
    return sorted(result, key=lambda link: -link.strength)


def _continues(document: Document, cell: Cell, label: Label, spans: Spans) -> bool:
    """Whether an amount's label goes on with this one: "Total for 3 items", "Total and VAT"."""
    return bool(label.kinds & AMOUNTS) and any(
        other.kinds & AMOUNTS
        and other.end <= label.start
        and not any(other.end <= v.start < label.start for v in spans.get(cell, ()))
        for other in document.labels[cell]
    )


def _inside(
    document: Document, cell: Cell, value: Value, label: Label, spans: Spans
) -> Link | None:
    if label.end > value.start:
        return None
    between = cell.text[label.end : value.start]
    others = sum(label.end <= v.start < value.start for v in spans.get(cell, ()))
    strength = label.score - 0.06 * _words(document, cell, label.end, value.start) - 0.2 * others
    if re.search(r"[;|]|\.\s[A-Z]", between):
        strength -= 0.2
    return Link(label, cell, strength - _foreign_word(document, cell, label), "inside")


def _left(
    document: Document,
    other: Cell,
    label: Label,
    label_box: Box,
    cell: Cell,
    value: Value,
    box: Box,
    spans: Spans,
) -> Link | None:
    if label_box[2] > box[0] + 0.3 * document.height:
        return None
    row = [c for c in document.on_page[cell.page] if c is not cell and c is not other]
    between = [
        c for c in row if same_row(c.box, box) and label_box[2] <= c.box[0] and c.box[2] <= box[0]
    ]
    strength = 0.95 * label.score - 0.1 * (box[0] - label_box[2]) / _width(document, cell.page)
    strength -= 0.06 * (_words(document, other, label.end) + _words(document, cell, 0, value.start))
    for c in between:
        strength -= 0.15 * len(spans.get(c, ())) or 0.1 * (
            not document.labels[c] and len(c.text) > 3
        )
    strength -= 0.15 * sum(v.start < value.start for v in spans.get(cell, ()))
    strength -= 0.15 * sum(v.start >= label.end for v in spans.get(other, ()))
    strength -= 0.3 * _has_label(document, cell, value)
    return Link(label, other, strength - _foreign_word(document, other, label), "left")


def _above(
    document: Document,
    other: Cell,
    label: Label,
    label_box: Box,
    cell: Cell,
    value: Value,
    box: Box,
    spans: Spans,
) -> Link | None:
    height = min(label_box[3] - label_box[1], box[3] - box[1], 1.5 * document.height)
    gap = box[1] - label_box[3] if label_box[1] < box[1] else label_box[1] - box[3]
    below = label_box[1] > box[1]
    if not same_column(label_box, box) or gap > (1.2 if below else 4) * height:
        return None
    if any(v.start >= label.end for v in spans.get(other, ())):
        return None  # the label has a value of its own
    between = [
        c
        for c in document.on_page[cell.page]
        if c is not cell
        and c is not other
        and same_column(c.box, box)
        and min(label_box[3], box[3]) - 2
        <= (c.box[1] + c.box[3]) / 2
        <= max(label_box[1], box[1]) + 2
    ]
    strength = (
        (0.45 if below else 0.85) * label.score - 0.04 * max(gap, 0) / height - 0.25 * len(between)
    )
    strength -= 0.3 * _has_label(document, cell, value)
    strength -= 0.04 * _words(document, other, label.end) + 0.04 * _words(document, cell, 0)
    if min(abs(label_box[0] - box[0]), abs(label_box[2] - box[2])) > 1.5 * height:
        strength -= 0.1
    if other in document.columns:
        strength *= 0.4
    elif label.kinds & AMOUNTS and _in_tax_table(document, other):
        strength -= 0.3
    right = [
        c
        for c in document.on_page[cell.page]
        if c is not other
        and c in spans
        and spans[c]
        and same_row(c.box, label_box)
        and 0 <= c.box[0] - label_box[2] < 12 * height
    ]
    strength -= 0.25 * bool(right)
    return Link(
        label,
        other,
        strength - _foreign_word(document, other, label),
        "below" if below else "above",
    )


def _in_tax_table(document: Document, cell: Cell) -> bool:
    """Whether a label heads a column of a table of taxes: its row has two more such labels."""
    heads = [
        c
        for c in document.on_page[cell.page]
        if same_row(c.box, cell.box)
        and any(label.kinds & AMOUNTS for label in document.labels[c])
        and not find_amounts(c.text)
    ]
    return len(heads) > 2


def _has_label(document: Document, cell: Cell, value: Value) -> bool:
    """Whether a value has a label in front of it in its own cell."""
    return any(label.end <= value.start for label in document.labels[cell])


def _words(document: Document, cell: Cell, start: int, end: int | None = None) -> int:
    """The number of words between two characters that are neither label, currency nor value."""
    text = list(cell.text)
    for label in document.labels[cell]:
        text[label.start : label.end] = " " * (label.end - label.start)
    rest = "".join(text)[start:end]
    for value in find_currencies(rest):
        rest = rest.replace(value.raw, " ")
    return min(8, len(re.findall(r"[^\W\d_]{2,}", rest)))


def _foreign_word(document: Document, cell: Cell, label: Label) -> float:
    """A penalty for an unknown word in front of the label: "appointment date", "started on"."""
    before = re.search(r"([^\W\d_]+)[ \-]?$", cell.text[: label.start])
    if before is None:
        return 0.0
    if label.kinds & DATES and label.end - label.start <= 3:
        return 0.6
    if any(
        other.start < before.end() and other.end > before.start()
        for other in document.labels[cell]
        if other is not label
    ):
        return 0.0
    return 0.5 if label.kinds & {*AMOUNTS, "plain_number"} else 0.3


def _width(document: Document, page: int) -> float:
    return float(next((p.width for p in document.pages if p.number == page), 1)) or 1.0


def _score_by_links(candidate: Candidate, near: Sequence[Link], roles: Mapping[str, float]) -> None:
    """The nearest label wins: add the best one of the field, unless another's is nearer."""
    own = max(
        (
            (link.strength * max(roles.get(k, 0) for k in link.label.kinds), link)
            for link in near
            if link.label.kinds & roles.keys()
        ),
        key=lambda pair: pair[0],
        default=None,
    )
    rival = max(
        (link.strength for link in near if not link.label.kinds & roles.keys()), default=0.0
    )
    if own is None:
        candidate.add("rival", -rival if rival > 0.35 else 0.0)
        return
    candidate.add(f"{own[1].relation} {'/'.join(sorted(own[1].label.kinds))}", own[0])
    margin = own[1].strength - rival
    if margin < 0:
        candidate.add("rival", -0.35 - 0.5 * rival)
    elif margin < 0.05:
        candidate.add("rival", -0.15)


# ── fields ──────────────────────────────────────────────────────────────────────────────────


def score_dates(document: Document, target: Field) -> list[Candidate]:
    """Every date on the page for a date field."""
    kinds = DATES | set(target.roles)
    spans = {
        cell: find_dates(
            cell.text, compact=any(label.kinds & DATES for label in document.labels[cell])
        )
        for cell in document.cells
    }
    count = sum(map(len, spans.values()))
    candidates = []
    for cell, values in spans.items():
        for value in values:
            candidate = Candidate(document.context.date(value), cell, value.start, value.end, 0.0)
            near = [
                _own_date(document, link) for link in links(document, cell, value, kinds, spans)
            ]
            _score_by_links(candidate, near, target.roles)
            if target.name == "date" and (not near or near[0].strength < 0.35):
                _score_bare_date(candidate, document, count)
            _break_ties(candidate, document)
            candidates.append(candidate)
    return candidates


def _own_date(document: Document, link: Link) -> Link:
    """The link, as one to another date if a number before it is of another document.

    As in "zu Ihrer Rechnung Nr. 12 vom 3.3." and "Devis D39 du 3 mars", unlike "Rechnung 12 vom".
    """
    if link.relation != "inside" or "plain_date" not in link.label.kinds:
        return link
    named = any(
        label.start < 3 and label.kinds & OWN_NUMBERS for label in document.labels[link.cell]
    )
    if named or not re.search(r"\d", link.cell.text[: link.label.start]):
        return link
    return replace(link, label=replace(link.label, kinds=frozenset({"other_date"})))


def _score_bare_date(candidate: Candidate, document: Document, count: int) -> None:
    """A date without a label is that of the document if it is alone, or has a time or a place."""
    cell = candidate.cell
    rest = cell.text[: candidate.start] + " " + cell.text[candidate.end :]
    candidate.add("no label", 0.42 + 0.1 * (count == 1))
    if find_times(rest) or any(
        find_times(c.text) and same_row(c.box, cell.box) for c in document.on_page[cell.page]
    ):
        candidate.add("time", 0.15)
    row = [c for c in document.on_page[cell.page] if c is not cell and same_row(c.box, cell.box)]
    if any(
        re.search(r"\d[.,]\d\d(?![\d.,]*[.,\d])", c.text) and not find_dates(c.text) for c in row
    ):
        candidate.add("row of a table", -0.2)
    if re.search(r"[^\W\d_]{2},\s*(?:\w{2,4}\s)?$", cell.text[: candidate.start]):
        candidate.add("place", 0.08)
    left = [
        c
        for c in document.on_page[cell.page]
        if c.box[2] <= cell.box[0] and same_row(c.box, cell.box) and c.text.endswith(":")
    ]
    if left or re.search(r"[^\W\d_]{3}\s*:\s*$", cell.text[: candidate.start]):
        candidate.add("unknown label", -0.3)
    words = len(re.findall(r"[^\W\d_]{3,}", rest))
    candidate.add("alone", 0.08 * (words <= 2) - 0.05 * max(0, words - 3))
    if re.search(r"[-–]\s*$|\b(?:to|bis|au|al|t/m|until)\s*$", cell.text[: candidate.start]):
        candidate.add("range", -0.3)
    if re.match(r"\s*(?:[-–]|to\b|bis\b|au\b|al\b|t/m\b|until\b)\s*\d", cell.text[candidate.end :]):
        candidate.add("range", -0.3)


def score_amounts(document: Document, target: Field) -> list[Candidate]:
    """Every amount on the page for an amount field; `total` has rules of its own."""
    spans = {cell: _amounts_of(cell) for cell in document.cells}
    prices = {cell: [v for v in values if not v.raw.isdigit()] for cell, values in spans.items()}
    kinds = AMOUNTS | set(target.roles) | {"other_number", "order_number", "invoice_number"}
    decimals = sum(
        "." in v.raw[-3:] or "," in v.raw[-3:] for group in spans.values() for v in group
    )
    likes = prices if decimals > 2 else spans
    candidates, near_by = [], {}
    for cell, values in spans.items():
        for value in values:
            candidate = Candidate(value.readings[""], cell, value.start, value.end, 0.0)
            near = links(document, cell, value, kinds, likes)
            _score_by_links(candidate, near, target.roles)
            near_by[id(candidate)] = near
            priced = _has_currency(cell, value)
            candidate.add("currency", 0.04 * priced)
            if value.raw.isdigit() and not priced:
                candidate.add("bare integer", -0.3 if decimals > 2 else -0.1)
                counts = re.match(r"\s[^\W\d_]{3}", cell.text[value.end :])
                candidate.add("a number of things", -0.3 * bool(counts))
            _break_ties(candidate, document)
            candidates.append(candidate)
    if target.name == "total":
        _score_totals(candidates, near_by, document)
    return candidates


def _amounts_of(cell: Cell) -> list[Value]:
    dates = find_dates(cell.text)
    return [
        value
        for value in find_amounts(cell.text)
        if not any(d.start < value.end and value.start < d.end for d in dates)
    ]


def _has_currency(cell: Cell, value: Value) -> bool:
    around = cell.text[max(0, value.start - 5) : value.end + 5]
    return bool(find_currencies(around)) or bool(re.match(r"/-|[,.]-", cell.text[value.end :]))


def _score_totals(
    candidates: list[Candidate], near_by: Mapping[int, list[Link]], document: Document
) -> None:
    _score_sums(candidates, near_by, document)
    positive = [_decimal(c) for c in candidates if c.score > 0.3]
    pages = len(document.pages)
    for candidate in candidates:
        value = _decimal(candidate)
        if value == 0:
            candidate.add("zero", -1.0)
        if positive and value == max(positive):
            candidate.add("largest", 0.06)
        if _is_part_of_sum(candidate, candidates):
            candidate.add("net or tax in a row with the gross", -0.4)
        page = candidate.cell.page - document.pages[0].number
        candidate.add("last page", 0.05 * page / pages)


def _score_sums(
    candidates: list[Candidate], near_by: Mapping[int, list[Link]], document: Document
) -> None:
    """An amount with an unknown label is the total if it sums up those above.

    Only the last amount of each row counts. Payments and discounts are subtracted.
    """
    rows: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (c.cell.page, sum(c.box[1::2]))):
        if not re.search(r"\d[.,]\d\d$", candidate.cell.text[: candidate.end]):
            continue
        if (
            rows
            and rows[-1].cell.page == candidate.cell.page
            and same_row(rows[-1].box, candidate.box)
        ):
            rows[-1] = max(rows[-1], candidate, key=lambda c: c.box[2])
        else:
            rows.append(candidate)
    signed = []
    for candidate in rows:
        paid = any("paid" in link.label.kinds for link in near_by[id(candidate)][:1])
        value = _decimal(candidate)
        signed.append(-abs(value) if paid else value)
    sums = {
        n: n - k
        for n, candidate in enumerate(rows)
        for k in range(min(n, 15), 1, -1)
        if sum(signed[n - k : n]) == _decimal(candidate) != 0
    }
    for n, start in sums.items():
        candidate, near = rows[n], near_by[id(rows[n])]
        taxed = any("tax" in link.label.kinds for c in rows[start:n] for link in near_by[id(c)][:1])
        if not near or near[0].strength < 0.35:
            candidate.add("sum of those above", 0.3)
            candidate.add("last sum", 0.12 * (n == max(sums)))
            candidate.add("large print", 0.1 * (document.size(candidate.cell) > 1.1))
        elif taxed and "subtotal" in near[0].label.kinds and candidate.score < 0.3:
            candidate.add("net amount after tax", 0.55 - candidate.score)


def _is_part_of_sum(candidate: Candidate, candidates: Sequence[Candidate]) -> bool:
    row = [
        _decimal(c)
        for c in candidates
        if c.cell.page == candidate.cell.page and same_row(c.box, candidate.box)
    ]
    value = _decimal(candidate)
    return len(row) in (3, 4) and any(
        value + other in row for other in row if other and value and other != value + other
    )


def _decimal(candidate: Candidate) -> Decimal:
    assert isinstance(candidate.value, Decimal)
    return candidate.value


def score_numbers(document: Document, target: Field) -> list[Candidate]:
    """Every number with a label for the number of a document."""
    spans = {cell: _numbers_of(document, cell) for cell in document.cells}
    every_kind = {k for labels in document.labels.values() for label in labels for k in label.kinds}
    kinds = (every_kind - NEUTRAL) | set(target.roles)
    candidates = []
    for cell, values in spans.items():
        for value in values:
            near = links(document, cell, value, kinds, spans)
            near = [_titled(document, link, value, cell) for link in near]
            candidate = Candidate(value.readings[""], cell, value.start, value.end, 0.0)
            _score_by_links(candidate, sorted(near, key=lambda link: -link.strength), target.roles)
            digits = sum(map(str.isdigit, value.raw))
            candidate.add(
                "digits", 0.03 * (digits >= 3) - 0.1 * (digits == 1 and len(value.raw) == 1)
            )
            if re.fullmatch(r"(?:19|20)\d\d", value.raw):
                named = near and near[0].label.kinds & {"invoice_number", "receipt_number"}
                candidate.add("a year", -0.03 if named else -0.25)
            _break_ties(candidate, document)
            candidates.append(candidate)
    return candidates


def _numbers_of(document: Document, cell: Cell) -> list[Value]:
    """The numbers in a cell that aren't part of a label, a date, a time, an amount or a code."""
    text = list(cell.text)
    masks = [(label.start, label.end) for label in document.labels[cell]]
    masks += [
        (v.start, v.end)
        for v in (*find_dates(cell.text), *find_times(cell.text))
        if not re.search(r"(?:^|\W)[A-Z]{1,4} $", cell.text[: v.start])  # FV 18/03/2024
        or (_has_label(document, cell, v) and document.labels[cell][-1].end >= v.start - 2)
    ]
    masks += [m.span() for m in re.finditer(r"\S*(?:@|www\.|https?:)\S*|\d[\d.,' ]*%", cell.text)]
    masks += [
        m.span()
        for m in re.finditer(
            r"(?<![\w/\-])[-–]?\d{1,3}(?:[., ]\d{3})*[.,]\d{2}(?![\w/\-])", cell.text
        )
    ]
    for start, end in masks:
        text[start:end] = "\0" * (end - start)
    return find_numbers("".join(text))


def _titled(document: Document, link: Link, value: Value, cell: Cell) -> Link:
    """Only a number right behind the title, as in "Rechnung 2024-118", belongs to it."""
    weak = link.label.kinds & {"document_title", "receipt_number", "plain_number"}
    if not weak or link.label.kinds & {"invoice_number"}:
        return link
    short = link.label.end - link.label.start <= 8
    strength = link.strength
    if (
        "plain_number" in weak
        and len(weak) == 1
        and re.match(r",(?!\s?(?:vom|du|dated|del|van)\b)|\s[^\W\d_]{3}", cell.text[value.end :])
    ):
        return Link(link.label, link.cell, link.strength - 0.5, link.relation)  # No. 5, High Street
    if link.relation == "inside":
        between = cell.text[link.label.end : value.start]
        if re.fullmatch(r"[\s:#.\-–]*", between):
            return link
        strength -= 0.4 * short
    elif "document_title" in link.label.kinds:
        digits = sum(map(str.isdigit, value.raw))
        mark = cell.text[: value.start].strip() == "#" or (
            re.search(r"[A-Za-z]", value.raw) and digits >= 3
        )
        small = link.cell.height < 1.25 * document.height and digits >= 4
        mark = mark or (link.relation == "left" and small and value.raw == cell.text)
        alone = len(cell.text) <= len(value.raw) + 4
        strength -= 0.05 if mark and alone else 0.5
    return Link(link.label, link.cell, strength, link.relation)


def score_texts(document: Document, target: Field) -> list[Candidate]:
    """What follows a label of the field, in its cell, to the right or below, as text."""
    candidates = []
    pattern = target.pattern
    for cell in document.cells:
        for label, following in _with_next(document.labels[cell]):
            if not label.kinds & target.roles.keys():
                continue
            for place, strength in _places(document, cell, label, following):
                text_cell, start, end = place
                text = text_cell.text[start:end]
                match = pattern.search(text) if pattern else re.search(r"\w.*", text)
                if match and _allowed(match[0], target.enum):
                    candidate = Candidate(
                        match[0].strip(" :;,-"),
                        text_cell,
                        start + match.start(),
                        start + match.end(),
                        0.0,
                    )
                    candidate.add("label", strength * label.score)
                    candidates.append(candidate)
    return candidates


def _with_next(labels: Sequence[Label]) -> Iterable[tuple[Label, int | None]]:
    for label, following in pairwise([*labels, None]):
        assert label is not None
        yield label, following.start if following else None


def _places(
    document: Document, cell: Cell, label: Label, end: int | None
) -> Iterable[tuple[tuple[Cell, int, int], float]]:
    if re.search(r"\w", cell.text[label.end : end]):
        yield (cell, label.end, end or len(cell.text)), 1.0
        return
    box = cell.box_of(label.start, label.end)
    for other in document.on_page[cell.page]:
        if other is cell or any(other_label.start == 0 for other_label in document.labels[other]):
            continue
        right = same_row(other.box, box) and other.box[0] >= box[2]
        below = same_column(other.box, box) and 0 <= other.box[1] - box[3] < 2.5 * (box[3] - box[1])
        if right or below:
            gap = other.box[0] - box[2] if right else 2 * (other.box[1] - box[3])
            yield (
                (other, 0, len(other.text)),
                0.9 - 0.3 * gap / _width(document, cell.page) - 0.1 * below,
            )


def _allowed(text: str, enum: Sequence[str]) -> bool:
    return not enum or any(text.strip().casefold() == value.casefold() for value in enum)


def score_times(document: Document, target: Field) -> list[Candidate]:
    """Every time of day on the page; one next to a date is that of the document."""
    spans = {cell: find_times(cell.text) for cell in document.cells}
    candidates = []
    for cell, values in spans.items():
        for value in values:
            candidate = Candidate(value.readings[""], cell, value.start, value.end, 0.0)
            _score_by_links(
                candidate, links(document, cell, value, set(target.roles), spans), target.roles
            )
            dated = any(
                find_dates(c.text) and same_row(c.box, cell.box)
                for c in document.on_page[cell.page]
            )
            candidate.add("date", 0.5 * dated * (":" in value.raw))
            _break_ties(candidate, document)
            candidates.append(candidate)
    return candidates


def _break_ties(candidate: Candidate, document: Document) -> None:
    """Of equal candidates the upper one, except amounts: their totals are at the bottom."""
    page = next(p for p in document.pages if p.number == candidate.cell.page)
    height = candidate.cell.box[1] / max(page.height, 1)
    candidate.score += 0.01 * (height if isinstance(candidate.value, Decimal) else 1 - height)


SCORERS: dict[str, Callable[[Document, Field], list[Candidate]]] = {
    "date": score_dates,
    "amount": score_amounts,
    "integer": score_amounts,
    "number": score_numbers,
    "text": score_texts,
    "time": score_times,
}
