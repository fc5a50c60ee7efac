"""What a question says about the rows: stored texts and one period.

conditions = read_conditions(Words("orders from Germany in May 2025"), orders)
conditions.source      # FROM "orders" JOIN … WHERE "customers"."country" = 'Germany' AND …
"""

from __future__ import annotations

import re
from calendar import month_name
from dataclasses import dataclass, field

from multi_agent.brain import Refusal
from multi_agent.data.schema import quoted
from multi_agent.offline.sql.tables import Column, Table
from multi_agent.offline.words import FILLERS, Words, split

_MONTHS = [name.lower() for name in month_name]
_PERIOD = re.compile(rf"\b(?:in|during|of) (?:({'|'.join(_MONTHS[1:])}) )?((?:19|20)\d\d)\b")


@dataclass
class Conditions:
    """The conditions on the rows of a table, in SQL and in words."""

    table: Table
    where: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    """The tables that the conditions need."""
    reading: list[str] = field(default_factory=list)

    def add(self, column: Column, sql: str, reading: str) -> None:
        self.where.append(sql)
        self.reading.append(reading)
        if column.table != self.table.name and column.table not in self.joined:
            self.joined.append(column.table)

    @property
    def source(self) -> str:
        """From FROM to the end of the query."""
        joins = "".join(f" JOIN {quoted(name)} ON {self.table.joins[name]}" for name in self.joined)
        where = f" WHERE {' AND '.join(self.where)}" if self.where else ""
        return f"FROM {quoted(self.table.name)}{joins}{where}"


def read_conditions(words: Words, table: Table) -> Conditions:
    """The conditions of a question, which account for all words that are left.

    Raises Refusal if one has two meanings, or for a word.
    """
    conditions = Conditions(table)
    _read_values(words, conditions)
    _read_period(words, conditions)
    words.require_none_left()
    return conditions


def _read_values(words: Words, conditions: Conditions) -> None:
    """Texts that are stored in the table, or in one that it refers to; the longest first."""
    used: list[Column] = []
    for phrase in sorted(conditions.table.values, key=len, reverse=True):
        if set(phrase) <= FILLERS or not words.take(phrase):
            continue
        candidates = conditions.table.values[phrase]
        if len(candidates) > 1:  # the question may name the column
            named = [one for one in candidates if words.take(one[0].words)]
            if len(named) != 1:
                places = sorted({f"{one.table}.{one.name}" for one, _ in candidates})
                raise Refusal(f"{candidates[0][1]!r} can be in {' or '.join(places)}.")
            candidates = named
        column, text = candidates[0]
        if column in used:
            raise Refusal(f"The question names two values of {column.table}.{column.name}.")
        used.append(column)
        conditions.add(column, column.equals(text), f"{column.name} {text}")
        for word in (*column.words, *split(column.table)):  # "the gold tier", "this category"
            words.take((word,))


def _read_period(words: Words, conditions: Conditions) -> None:
    """A month or a year, of the date that the question names or of the only one."""
    table, text = conditions.table, " ".join(words.texts)
    columns = table.named_in(words, "date") or table.of_kind("date")
    named = [column for column in columns if words.take(column.words)]
    match = _PERIOD.search(text)
    if match is None:
        for column in named:
            conditions.add(column, f"{column.spelled} IS NOT NULL", f"with {column.name}")
    elif len(columns) == 1:
        first = text[: match.start()].count(" ")
        words.taken |= set(range(first, first + match[0].count(" ") + 1))
        month = f"-{_MONTHS.index(match[1]):02}" if match[1] else ""
        sql = f"CAST({columns[0].spelled} AS TEXT) LIKE '{match[2]}{month}%'"
        conditions.add(columns[0], sql, f"{columns[0].name} in {match[2]}{month}")
