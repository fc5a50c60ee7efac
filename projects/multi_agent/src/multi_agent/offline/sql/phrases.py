"""The phrases of a question, which of them have been used, and those that stand together.

Each reader takes the phrases it needs; `interpret` refuses a question where one is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from multi_agent.offline.sql.link import Phrase
from multi_agent.offline.sql.schema import Column, Schema

COMPARES = (">", ">=", "<", "<=", "=", "between")
AGGREGATES = ("count", "sum", "avg", "min", "max")
_COUNTING = ("most", "fewest", "least")
_PERIODS = ("year", "month", "day")


class NotUnderstood(Exception):
    """Why a question has no query."""


class Phrases:
    """The phrases of a question; those that are not used yet when it is iterated over."""

    def __init__(self, phrases: Sequence[Phrase]) -> None:
        self.all = list(phrases)
        self._used: set[int] = set()

    def __iter__(self) -> Iterator[Phrase]:
        return iter([phrase for phrase in self.all if phrase.start not in self._used])

    def use(self, *phrases: Phrase | None) -> None:
        """Mark phrases as accounted for."""
        self._used |= {phrase.start for phrase in phrases if phrase}

    def operators(self, *senses: str) -> list[Phrase]:
        """The unused operators with one of the senses."""
        return [phrase for phrase in self if phrase.sense in senses]

    def beside(self, phrase: Phrase, step: int = 1, *, close: bool = False) -> Phrase | None:
        """The next phrase, or the one before (-1); `close`: with no word between."""
        at = next(i for i, one in enumerate(self.all) if one.start == phrase.start) + step
        other = self.all[at] if 0 <= at < len(self.all) else None
        gap = other and (other.start - phrase.end if step > 0 else phrase.start - other.end)
        return None if close and gap else other

    def noun(self, phrase: Phrase | None) -> Phrase | None:
        """A name, or the one that it is an adjective of: orders for "open" in "open orders"."""
        while phrase and phrase.kind == "name" and phrase.is_adjective:
            phrase = self.beside(phrase, close=True)
        return phrase if phrase and phrase.kind == "name" else None


@dataclass(frozen=True)
class Comparison:
    """ "More than 50 euros", with the column's name beside it that it is about."""

    at: Phrase
    numbers: tuple[float, ...]
    unit: str
    name: Phrase | None


def read_comparisons(left: Phrases) -> list[Comparison]:
    """The operators of comparison that have their numbers."""
    found = [_comparison(left, at) for at in left.operators(*COMPARES)]
    return [comparison for comparison in found if comparison]


def _comparison(left: Phrases, at: Phrase) -> Comparison | None:
    # 1. The numbers: two of "between"
    numbers, unit, last, phrase = list[Phrase](), None, at, left.beside(at)
    while phrase and phrase.kind in ("number", "unit"):
        numbers += [phrase] if phrase.kind == "number" else []
        unit = phrase if phrase.kind == "unit" else unit
        last, phrase = phrase, left.beside(phrase)
    if len(numbers) != (2 if at.sense == "between" else 1):
        return None
    # 2. The name: "over 3 BEDROOMS", "a PRICE over 50"
    after, before = left.beside(last, close=True), left.beside(at, -1)
    near = [p for p in (after, before) if p and p.has_quantity]
    name = near[0] if near and not at.hint else None
    left.use(at, *numbers, unit, name)
    values = tuple(number.number for number in numbers)
    return Comparison(at, values, unit.unit if unit else "", name)


@dataclass(frozen=True)
class Ranking:
    """A superlative: "the 5 highest average prices", "the most orders"."""

    at: Phrase
    limit: int
    function: str
    name: Phrase | None
    """What is compared, if it is not the column that the adjective hints at."""

    @property
    def extreme(self) -> str:
        """What is taken of the numbers of several rows: their sum for "the most"."""
        if self.at.text in (*_COUNTING, "top", "bottom"):
            return "sum"
        return "max" if self.at.sense == "desc" else "min"


def read_ranking(left: Phrases) -> Ranking | None:
    """The superlative, if there is one."""
    found = left.operators("desc", "asc")
    if len(found) > 1:
        raise NotUnderstood(f"I can't combine {found[0].text!r} and {found[1].text!r}.")
    if not found:
        return None
    at, counting = found[0], found[0].text in _COUNTING
    # 1. How many: "top 5", "the 5 cheapest"
    around = (left.beside(at, -1, close=True), left.beside(at, close=True))
    number = next((p for p in around if p and p.kind == "number"), None)
    last = number if number and number.start > at.start else at
    # 2. By what: "by price", "highest average price", "most open orders", "paid the most in total"
    by = next((p for p in left.operators("per") if p.text == "by"), None)
    after = left.beside(by) if by else None
    if not (after and (after.sense in AGGREGATES or after.has_quantity)):
        by, after = None, left.beside(last)
    function = after if after and after.sense in AGGREGATES else None
    after, before = left.beside(function) if function else after, left.beside(at, -1)
    sense = function.sense if function else "count" if at.hint == ("rows",) else ""
    noun, name = left.noun(after) if counting else after, None
    if noun and noun.tables and (sense == "count" or (counting and not sense)):
        name, sense = noun, "count"
    elif after and after.has_quantity and (by or sense or not at.hint):
        name = after
    elif before and before.kind == "name" and not at.hint:
        name = before
    left.use(at, number, by, function, name)
    return Ranking(at, int(number.number) if number else 1, sense, name)


def read_group(left: Phrases, ranking: Ranking | None) -> Phrase | None:
    """The name or the part of a date after "per"."""
    found = []
    for per in left.operators("per"):
        after, before = left.beside(per), left.beside(per, -1)
        plural = after and after.tables and after.text.endswith("s")  # "placed by customers"
        close = before and before.end == per.start and not before.is_adjective
        verb = per.text == "by" and (plural or not close)
        kind = after and not after.is_adjective and not after.has_quantity and after.kind == "name"
        if after and not verb and (kind or after.unit in _PERIODS):
            found.append(after)
            left.use(per, after)
    if ranking and not found:  # "in which month were the most orders placed"
        found = [phrase for phrase in left if phrase.unit in _PERIODS]
        left.use(*found)
    if len(found) > 1:
        raise NotUnderstood("I can group by one thing only.")
    return found[0] if found else None


class Readings:
    """Chooses among the readings of a phrase, by what is named beside it."""

    def __init__(self, left: Phrases, schema: Schema) -> None:
        self.left, self.schema = left, schema

    def column(self, phrase: Phrase, *kinds: str, near: str = "") -> Column:
        """The column that a phrase names: of a table named beside it, or of `near`, or the only."""
        columns = [c for c in phrase.columns if c.kind in kinds or not kinds]
        columns = [c for c in columns if c.is_quantity or kinds != ("number",)]
        beside = [self.left.beside(phrase, step) for step in (-1, 1)]
        named = {table for other in beside if other for table in other.tables}
        for tables in (named, {near}):
            columns = [c for c in columns if c.table in tables] or columns
        columns = [c for c in columns if c in phrase.best] or columns
        return only(phrase, columns)

    def hinted(self, phrase: Phrase, tables: Iterable[str]) -> Column:
        """The column that an adjective is about: the price for "cheap"."""
        columns = [c for table in tables for c in self.schema.tables[table].columns]
        columns = [c for c in columns if c.is_quantity or c.is_dated]
        fits = ([c for c in columns if word in c.words] for word in phrase.hint)
        return only(phrase, next(filter(None, fits), []))

    def date(self, table: str, phrase: Phrase) -> Column:
        """The date that a phrase is about: named in the question, or the only one of the table."""
        named = [p for p in self.left if p.is_dated and not p.values]
        if len(named) == 1:
            self.left.use(*named)
            return self.column(named[0], "date", "year", near=table)
        return only(phrase, [c for c in self.schema.tables[table].columns if c.is_dated])


def only(phrase: Phrase, readings: Sequence[Column]) -> Column:
    """The one column that a phrase can mean. Raises NotUnderstood where there are several."""
    if len(columns := list(dict.fromkeys(readings))) == 1:
        return columns[0]
    some = " or ".join(map(str, columns)) or "nothing in the database"
    raise NotUnderstood(f"{phrase.text!r} can refer to {some}.")
