"""What a question says about the rows: stored texts and one period.

conditions = read_conditions(Words("orders from Germany in May 2025"), orders)
conditions.where      # [("customers", "country = 'Germany'"), …]
"""

from __future__ import annotations

import re
from calendar import month_name
from dataclasses import dataclass, field
from datetime import date, timedelta

from multi_agent.brain import Query, Refusal
from multi_agent.data.schema import quoted
from multi_agent.offline.sql.tables import Column, Table
from multi_agent.offline.words import FILLERS, Words, split

_MONTHS = {name.lower(): number for number, name in enumerate(month_name) if name}


@dataclass
class Conditions:
    """The conditions on the rows of a table, in SQL and in words."""

    table: Table
    where: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    """The tables that the conditions need."""
    reading: list[str] = field(default_factory=list)

    def add(self, column: Column, sql: str, reading: str) -> None:
        self.where.append(f"{column.spelled} {sql}")
        self.reading.append(reading)
        if column.table != self.table.name and column.table not in self.joined:
            self.joined.append(column.table)

    @property
    def source(self) -> str:
        """From FROM to the end of the query."""
        joins = "".join(f" JOIN {quoted(name)} ON {self.table.joins[name]}" for name in self.joined)
        where = f" WHERE {' AND '.join(self.where)}" if self.where else ""
        return f"FROM {quoted(self.table.name)}{joins}{where}"

    def query(self, selected: str, reading: str, unit: str = "") -> Query:
        return Query(f"SELECT {selected} {self.source}", ", ".join([reading, *self.reading]), unit)


def read_conditions(words: Words, table: Table) -> Conditions:
    """The conditions of a question. Raises Refusal if one has two meanings."""
    conditions = Conditions(table)
    _values(words, conditions)
    _period(words, conditions)
    return conditions


def _values(words: Words, conditions: Conditions) -> None:
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
        stored = text.replace("'", "''")
        conditions.add(column, f"= '{stored}'", f"{column.name} {text}")
        for word in (*column.words, *split(column.table)):  # "the gold tier", "this category"
            words.take((word,))


def _period(words: Words, conditions: Conditions) -> None:
    """A month or a year, of the date that the question names or of the only one."""
    columns = conditions.table.named_in(words, "date") or conditions.table.of_kind("date")
    named = [column for column in columns if words.take(column.words)]
    match = _days(words)
    if match is None:
        for column in named:
            conditions.add(column, "IS NOT NULL", f"with {column.name}")
        return
    if len(columns) != 1:
        return
    first, after, places = match
    words.taken |= places
    reading = f"{columns[0].name} from {first} to {after - timedelta(1)}"
    sql = f">= '{first}' AND {columns[0].spelled} < '{after}'"
    conditions.add(columns[0], sql, reading)


def _days(words: Words) -> tuple[date, date, set[int]] | None:
    """The first day of a month or a year, the day after it, and the places of its words."""
    text = " ".join(words.texts)
    match = re.search(rf"\b(?:in|during|of) (?:({'|'.join(_MONTHS)}) )?((?:19|20)\d\d)\b", text)
    if match is None:
        return None
    year, month = int(match[2]), _MONTHS.get(match[1] or "", 0)
    first = text[: match.start()].count(" ")
    places = set(range(first, first + match[0].count(" ") + 1))
    if not month:
        return date(year, 1, 1), date(year + 1, 1, 1), places
    return date(year, month, 1), date(year + month // 12, month % 12 + 1, 1), places
