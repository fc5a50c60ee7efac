"""Terms: pieces of an expression, each with the unit of its value.

    Term("279", "EUR") - Term("20", PERCENT)      # Term("(279 * (1 - (20 / 100)))", "EUR")

Nothing is computed here: operations write the expression, and raise Refusal where units don't fit.
"""

from __future__ import annotations

from dataclasses import dataclass

from multi_agent.brain import Refusal
from multi_agent.offline.arithmetic.words import CURRENCIES, UNITS

PERCENT, DATE = "%", "date"
PART = "part"
"""The unit of "a third": like a percentage, it is a share of something."""


@dataclass(frozen=True)
class Term:
    """A piece of an expression."""

    text: str
    unit: str = ""
    """PERCENT, PART, DATE, a currency's code, a unit as the task spells it, or a noun."""

    @property
    def kind(self) -> str:
        """The letter that stands for such a term in rules; see `rules.py`."""
        if kind := {"": "N", PERCENT: "P", PART: "F", DATE: "D"}.get(self.unit):
            return kind
        return "M" if self.unit in CURRENCIES.values() else "Q" if self.unit in UNITS else "G"

    @property
    def factor(self) -> Term:
        """A share as the number to multiply with: 20 / 100."""
        return Term(f"({self.text} / 100)" if self.unit == PERCENT else self.text)

    def to(self, unit: str) -> Term:
        """The same number with another unit."""
        return Term(self.text, unit)

    def __add__(self, other: Term) -> Term:
        return _sum(self, "+", other)

    def __sub__(self, other: Term) -> Term:
        return _sum(self, "-", other)

    def __neg__(self) -> Term:
        return Term(f"(-{self.text})", self.unit)

    def __mul__(self, other: Term) -> Term:
        if self.kind in "PF":
            return _joined(self.factor, "*", other, other.unit)
        if other.kind in "PF":
            return _joined(self, "*", other.factor, self.unit)
        # What is counted gives way to a unit: 7 tickets at 12.50 euros.
        units = [one.unit for one in (self, other) if one.kind in "MQ"]
        units = units or [one.unit for one in (self, other) if one.unit] or [""]
        if len(units) > 1:
            raise Refusal(f"Not supported: {units[0]} times {units[1]}.")
        return _joined(self, "*", other, units[0])

    def __truediv__(self, other: Term) -> Term:
        if other.kind in "PF" and self.kind not in "PF":
            return _joined(self, "/", other.factor, self.unit)
        if other.kind == "N" or (other.kind == "G" and self.kind != "G"):
            return _joined(self, "/", other, self.unit)
        a, b = alike(self, other, strict=True)
        return _joined(a, "/", b, "")

    def __mod__(self, other: Term) -> Term:
        a, b = alike(self, other, strict=True)
        return _joined(a, "%", b, a.unit)

    def __pow__(self, exponent: Term) -> Term:
        if self.unit or exponent.unit or self.text.startswith("(-"):
            raise Refusal("Not supported: powers of negative numbers, and of units.")
        return _joined(self, "**", exponent, "")


def alike(*terms: Term, strict: bool = False) -> list[Term]:
    """Terms in one unit, that of the first with a unit. Raises Refusal.

    Plain numbers take that unit, too: 12, 15 and 20 kg. If `strict`, only next to money: "2-3 days"
    is not a difference.

    >>> [one.text for one in alike(Term("12", "km"), Term("800", "m"))]
    ['12', "convert(800, 'm', 'km')"]
    """
    unit = next((one.unit for one in terms if one.unit), "")
    strict = (strict and terms[0].kind != "M") or unit in (PERCENT, PART, DATE)
    if strict and len({one.kind == "N" for one in terms}) > 1:
        raise Refusal(f"Only some of {', '.join(one.text for one in terms)} have a unit.")
    return [one.to(unit) if one.kind == "N" else convert(one, unit) for one in terms]


def call(function: str, *terms: Term) -> Term:
    """A function of terms that are alike.

    >>> call("average", Term("4"), Term("9")).text
    'average(4, 9)'
    """
    terms = tuple(alike(*terms))
    return Term(f"{function}({', '.join(one.text for one in terms)})", terms[0].unit)


def convert(term: Term, unit: str) -> Term:
    """A term in another unit. Money has no fixed rate, and a month no fixed number of days."""
    start, end = UNITS.get(term.unit, ""), UNITS.get(unit, "")
    if term.unit == unit or (not term.unit and unit in CURRENCIES.values()):
        return term.to(unit)
    if not start or not end or len({u.startswith(("month", "year")) for u in (start, end)}) > 1:
        raise Refusal(f"{term.unit or 'A plain number'} cannot be converted to {unit}.")
    return Term(f"convert({term.text}, {start!r}, {end!r})", unit)


def shift(day: Term, span: Term) -> Term:
    """A date later by a span of days, weeks, months or years.

    >>> shift(Term("'2025-05-05'", DATE), -Term("2", "weeks")).text
    "shift('2025-05-05', weeks=(-2))"
    """
    unit = span.unit.removesuffix("s")
    if unit not in ("day", "week", "month", "year"):
        raise Refusal(f"A date cannot be shifted by {span.text} {span.unit}.")
    return Term(f"shift({day.text}, {unit}s={span.text})", DATE)


def _sum(a: Term, operator: str, b: Term) -> Term:
    if b.kind in "PF" and a.kind not in "PF":  # 80 plus 25 %
        return a * _joined(Term("1"), operator, b.factor, "")
    if a.unit == DATE:
        return shift(a, b if operator == "+" else -b)
    a, b = alike(a, b, strict=True)
    return _joined(a, operator, b, a.unit)


def _joined(a: Term, operator: str, b: Term, unit: str) -> Term:
    return Term(f"({a.text} {operator} {b.text})", unit)
