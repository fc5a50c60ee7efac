"""Subtotal and tax by arithmetic: what agrees with the total, or nothing.

    balance = find_balance(document, rankings)
    balance.tax, balance.subtotal, balance.warnings

A label alone misleads: "VAT 7 % on 270.00 18.90" has its base behind it, "art. 293 B" is an
article, and each of several rates has a line of its own. So every amount that may be the tax or a
part of it is tried in `net + tax - payments = total`, to the cent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

from vision_app.extract.cells import Cell, to_rows
from vision_app.extract.rules.document import Document
from vision_app.extract.rules.scoring import THRESHOLD, Candidate, amounts_of, decimal

CENT = Decimal("0.011")
MAX_LINES = 6  # of taxes, whose combinations are tried
MAX_RATE = Decimal("0.4")  # of the net amount, for all taxes together
SURE = 0.7  # the score of another total, such as the gross amount where a deposit is deducted
MAX_SHARE = Decimal("0.3")  # of the total, for a tax that nothing confirms
_RATE = re.compile(r"(?<![\d.,])(\d{1,2}(?:[.,]\d{1,2})?)\s?%")


@dataclass(frozen=True)
class TaxLine:
    """The tax at one rate; `base` is the net amount that it was computed from, if printed."""

    rate: Decimal
    tax: Candidate
    base: Candidate | None
    exact: bool


@dataclass(frozen=True)
class Balance:
    """None for what contradicts the total, with a warning; `exact` if all three agree."""

    subtotal: Candidate | None = None
    tax: Candidate | None = None
    exact: bool = False
    warnings: tuple[str, ...] = ()


def find_balance(document: Document, rankings: Mapping[str, Sequence[Candidate]]) -> Balance:
    """The subtotal and the tax that agree with the total at the head of its ranking."""
    totals = [c for c in rankings.get("total", ()) if c.score >= THRESHOLD]
    totals = [c for n, c in enumerate(totals) if n == 0 or c.score >= SURE]
    nets = [c for c in rankings.get("subtotal", ()) if c.score >= 0.3][:5]
    if not totals:
        return Balance(next((c for c in nets if c.score >= THRESHOLD), None))
    # 1. The lines of taxes, by their rates, and every sum of them that may be the tax. Tax that
    #    is withheld has the other sign.
    negative = decimal(totals[0]) < 0
    singles = [c for c in rankings.get("tax", ()) if c.score >= 0.3][:5]
    singles = [c for c in singles if (decimal(c) < 0) == negative or not decimal(c)]
    lines = [x for x in find_tax_lines(document) if (decimal(x.tax) < 0) == negative][:MAX_LINES]
    options: list[tuple[Candidate, tuple[TaxLine, ...]]] = [(c, ()) for c in singles]
    for size in range(len(lines), 0, -1):
        options += [(sum_of([x.tax for x in g]), g) for g in combinations(lines, size)]
    labeled = [c for c in singles if c.labeled("tax")]
    options += [(sum_of(group), ()) for n in (2, 3) for group in combinations(labeled, n)]
    # 2. The combination with the best labels that agrees to the cent.
    payments = _payments(document)
    best: tuple[float, Candidate | None, Candidate] | None = None
    for tax, group in options:
        bases = [line.base for line in group if line.base is not None]
        whole = [sum_of(bases)] if bases and len(bases) == len(group) else []
        for net in [*nets, *whole, *_unlabeled(document, decimal(totals[0]) - decimal(tax))]:
            for total in dict.fromkeys(totals):
                cost = _cost(decimal(net) + decimal(tax) - decimal(total), payments, net, tax)
                if cost is None or abs(decimal(tax)) > MAX_RATE * abs(decimal(net)):
                    continue
                if decimal(net) == decimal(total) and decimal(tax) != 0:
                    continue
                cost += 0.3 * (decimal(total) != decimal(totals[0])) - min(net.score, 1)
                cost -= min(tax.score, 1) + 0.3 * sum(line.exact for line in group)
                if best is None or cost < best[0]:
                    best = cost, net, tax
    if best is not None:
        return Balance(best[1], best[2], exact=True)
    return _partial(decimal(totals[0]), nets, singles, lines)


def _partial(
    total: Decimal, nets: list[Candidate], singles: list[Candidate], lines: list[TaxLine]
) -> Balance:
    """What may be right where no three amounts agree: a tax within the total, a total without."""
    gross = sum((x.rate + 100) * decimal(x.tax) / x.rate for x in lines)
    slack = sum((x.rate + 100) / x.rate for x in lines) * CENT
    tax = None
    if lines and abs(gross - total) <= slack:
        tax = sum_of([line.tax for line in lines])
    elif len(lines) <= 1:
        sure = [c for c in singles if c.score >= THRESHOLD and 0 <= decimal(c) <= MAX_SHARE * total]
        tax = sure[0] if len({c.value for c in sure}) == 1 and not nets else None
        tax = lines[0].tax if lines and lines[0].exact else tax
    net = next((c for c in nets if c.score >= THRESHOLD), None)
    if net is not None and (tax is not None or decimal(net) != total):
        net = None if tax or singles or not MAX_SHARE < decimal(net) / total <= 1 else net
    rejected = {"tax": singles and not tax, "subtotal": nets and not net}
    text = "{}: the amounts next to its label do not agree with the total {}"
    warnings = tuple(text.format(name, total) for name, wrong in rejected.items() if wrong)
    return Balance(net, tax, False, warnings)


def find_tax_lines(document: Document) -> Iterator[TaxLine]:
    """The amounts of tax at each rate that is printed, each rate and amount once."""
    printed = {decimal(c) for cell in document.cells for c in _candidates(cell)}
    lines: dict[tuple[Decimal, object], TaxLine] = {}
    for cells in document.on_page.values():
        for row in to_rows(cells):
            kinds = {kind for cell in row for x in document.labels[cell] for kind in x.kinds}
            for rate, amounts in _split_by_rate(row):
                line = _tax_line(rate, amounts, printed, labeled="tax" in kinds)
                if line is not None:
                    lines.setdefault((rate, line.tax.value), line)
    yield from lines.values()


def _split_by_rate(row: Sequence[Cell]) -> Iterator[tuple[Decimal, list[Candidate]]]:
    """The amounts behind each rate of a row; those before the first one belong to it as well."""
    before: list[Candidate] = []
    groups: list[tuple[Decimal, list[Candidate]]] = []
    for cell in row:
        parts: list[tuple[int, Decimal | Candidate]] = [(c.start, c) for c in _candidates(cell)]
        for match in _RATE.finditer(cell.text):
            parts.append((match.start(), Decimal(match[1].replace(",", "."))))
        for _, part in sorted(parts, key=lambda each: each[0]):
            if isinstance(part, Decimal):
                groups.append((part, []))
            else:
                (groups[-1][1] if groups else before).append(part)
    for n, (rate, amounts) in enumerate(groups):
        yield rate, [*before, *amounts] if n == 0 else amounts


def _tax_line(
    rate: Decimal, amounts: list[Candidate], printed: set[Decimal], *, labeled: bool
) -> TaxLine | None:
    """The amount that is the rate's share of another one; only a label makes up for that one."""
    if not rate:
        return None
    for tax in reversed(amounts):
        for base in amounts:
            if base is not tax and _is_share(rate, decimal(tax), decimal(base)):
                return TaxLine(rate, tax, base, True)
        if any(base is not tax and _is_within(rate, tax, decimal(base)) for base in amounts):
            return TaxLine(rate, tax, None, True)
    if not labeled or not amounts:
        return None
    tax = amounts[-1]
    exact = any(_is_share(rate, decimal(tax), x) or _is_within(rate, tax, x) for x in printed)
    return TaxLine(rate, tax, None, True) if exact else TaxLine(rate, tax, None, False)


def _is_share(rate: Decimal, tax: Decimal, base: Decimal) -> bool:
    return tax != 0 and abs(base * rate / 100 - tax) < CENT


def _is_within(rate: Decimal, tax: Candidate, gross: Decimal) -> bool:
    return _is_share(rate / (100 + rate) * 100, decimal(tax), gross)


def _candidates(cell: Cell) -> list[Candidate]:
    """The amounts of a cell with two decimals."""
    values = [v for v in amounts_of(cell) if re.search(r"[.,]\s?\d\d$", v.raw)]
    return [Candidate(v.readings[""], cell, v.start, v.end) for v in values]


def _payments(document: Document) -> list[Decimal]:
    """The amounts of prepayments and withholding: in rows with such a label, a minus or a rate."""
    amounts: dict[Decimal, None] = {}
    for cells in document.on_page.values():
        for row in to_rows(cells):
            kinds = {kind for cell in row for x in document.labels[cell] for kind in x.kinds}
            for c in [c for cell in row for c in _candidates(cell)][-1:]:
                rate = any(_RATE.search(cell.text) for cell in row)
                if "paid" in kinds or decimal(c) < 0 or rate:
                    amounts[abs(decimal(c))] = None
    return [*amounts][-12:]


def _cost(rest: Decimal, payments: list[Decimal], net: Candidate, tax: Candidate) -> float | None:
    """0 if the amounts agree, more if one or two payments explain the rest, None otherwise."""
    others = [x for x in payments if x not in (abs(decimal(net)), abs(decimal(tax)))]
    if abs(rest) < CENT:
        return 0.0
    if any(abs(abs(rest) - x) < CENT for x in others):
        return 0.5
    pairs = combinations(others, 2)
    return 0.9 if any(abs(abs(rest) - a - b) < CENT for a, b in pairs) else None


def _unlabeled(document: Document, net: Decimal) -> list[Candidate]:
    """The last amount of this value on the pages, as a net amount without a label."""
    equal = [c for cell in document.cells for c in _candidates(cell) if decimal(c) == net]
    return equal[-1:]


def sum_of(parts: Sequence[Candidate]) -> Candidate:
    """A candidate that is the sum of others, and shows the places of all."""
    first = parts[0]
    if len(parts) == 1:
        return first
    total = sum((decimal(part) for part in parts), Decimal(0))
    score = min(part.score for part in parts)
    return Candidate(total, first.cell, first.start, first.end, score, parts=tuple(parts))
