"""Terms: pieces of an expression, each with the unit of its value.

    Term("279", "EUR") - Term("20", PERCENT)      # Term("(279 * (1 - (20 / 100)))", "EUR")

Nothing is computed here: operations write the expression, and raise Refusal where units don't fit.
"""

from __future__ import annotations

from dataclasses import dataclass

from multi_agent.brain import Refusal
from multi_agent.offline.english import CURRENCIES, unit_of

PERCENT = "%"
PART = "part"
"""The unit of "a third": like a percentage, it is a share of something."""
_KINDS = {"": "N", PERCENT: "P", PART: "F"} | dict.fromkeys(CURRENCIES.values(), "M")


@dataclass(frozen=True)
class Term:
    """A piece of an expression."""

    text: str
    unit: str = ""
    """PERCENT, PART, a currency's code, a unit as the task spells it, or a noun."""

    @property
    def kind(self) -> str:
        """The letter that stands for such a term in rules; see `rules.py`."""
        return _KINDS.get(self.unit) or ("Q" if unit_of(self.unit) else "G")

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

    def __mul__(self, other: Term) -> Term:
        if self.kind in "PF":
            return _joined(self.factor, "*", other, other.unit)
        if other.kind in "PF":
            return other * self
        # What is counted gives way to a unit: 7 tickets at 12.50 euros.
        units = [one.unit for one in (self, other) if one.kind in "MQ"]
        units = units or [one.unit for one in (self, other) if one.unit] or [""]
        if len(units) > 1:
            raise Refusal(f"Not supported: {units[0]} times {units[1]}.")
        return _joined(self, "*", other, units[0])

    def __truediv__(self, other: Term) -> Term:
        if other.kind == "N" or (other.kind == "G" and self.kind != "G"):
            return _joined(self, "/", other, self.unit)
        a, b = alike(self, other)
        return _joined(a, "/", b, "")


def alike(*terms: Term) -> list[Term]:
    """Terms of one unit; plain numbers take that of amounts: 12, 15 and 20 kg. Raises Refusal.

    >>> [one.unit for one in alike(Term("12"), Term("800", "m"))]
    ['m', 'm']
    """
    units = [unit for unit in dict.fromkeys(term.unit for term in terms) if unit]
    if len(units) > 1:
        raise Refusal(f"{units[1]} cannot be converted to {units[0]}.")
    if units and units[0] in (PERCENT, PART) and any(not term.unit for term in terms):
        raise Refusal(f"Only some of {', '.join(term.text for term in terms)} have a unit.")
    return [term.to("".join(units)) for term in terms]


def call(function: str, *terms: Term) -> Term:
    """A function of terms that are alike.

    >>> call("average", Term("4"), Term("9")).text
    'average(4, 9)'
    """
    terms = tuple(alike(*terms))
    return Term(f"{function}({', '.join(one.text for one in terms)})", terms[0].unit)


def _sum(a: Term, operator: str, b: Term) -> Term:
    if b.kind in "PF" and a.kind not in "PF":  # 80 plus 25 %
        return a * _joined(Term("1"), operator, b.factor, "")
    if "N" in (a.kind, b.kind) and a.kind != b.kind and a.kind != "M":  # 2-3 days
        raise Refusal(f"Only one of {a.text} and {b.text} has a unit.")
    a, b = alike(a, b)
    return _joined(a, operator, b, a.unit)


def _joined(a: Term, operator: str, b: Term, unit: str) -> Term:
    return Term(f"({a.text} {operator} {b.text})", unit)
