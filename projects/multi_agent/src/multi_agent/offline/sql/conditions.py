"""Turns the values, numbers, periods and flags of a question into conditions.

They are about the rows asked for, or about the rows that these refer to: orders of customers in
Bern. Customers with orders in May are not: nothing of a customer's row says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from multi_agent.offline.english import UNITS, convert
from multi_agent.offline.sql.link import BARE_YEAR, Phrase
from multi_agent.offline.sql.phrases import Comparison, NotUnderstood, Phrases, Readings, only
from multi_agent.offline.sql.query import Filter, Query
from multi_agent.offline.sql.schema import Column, Schema


class Conditions(Readings):
    """Step 3: which rows a query is about."""

    def __init__(self, left: Phrases, schema: Schema, query: Query) -> None:
        super().__init__(left, schema)
        self.query = query

    def read(self, comparisons: list[Comparison]) -> Query:
        """The query with the conditions."""
        filters = [self._compared(comparison) for comparison in comparisons]
        filters += [self._period(phrase) for phrase in self.left if phrase.period]
        filters += [self._value(phrase) for phrase in self.left if self._is_value(phrase)]
        filters += self._flags()
        columns = [one.column for one in filters]
        if twice := [column for column in columns if columns.count(column) > 1]:
            raise NotUnderstood(f"I can't combine two conditions on {twice[0]}.")
        self._use_mentioned(columns)
        shown = self.query.select[:1]
        if shown and shown[0].kind != "text" and not (self.query.order or self._names_row(columns)):
            raise NotUnderstood(f"I don't know whose {shown[0]} is meant.")
        return replace(self.query, filters=tuple(filters))

    def _names_row(self, columns: list[Column]) -> bool:
        """Whether the question says of what: the price of a table is not one number."""
        return any(c.unique or c in self.schema.tables[c.table].label for c in columns)

    def _compared(self, one: Comparison) -> Filter:
        """ "Over 50 euros": of the name beside it, its adjective, or the only one in its unit."""
        table = self.schema.tables[self.query.table]
        if one.name:
            column = self.column(one.name, "number", near=table.name)
        elif one.at.hint:
            column = self.hinted(one.at, [table.name])
        else:
            kind = UNITS[one.unit][0] if one.unit else ""
            column = only(one.at, [c for c in table.columns if c.is_quantity and c.measures(kind)])
        unit = "euro" if column.unit == "cent" and not one.unit else one.unit  # 50 are 5000 cents
        numbers: tuple[float | None, ...] = one.numbers
        if unit and column.unit:
            numbers = tuple(convert(number, unit, column.unit) for number in one.numbers)
        if None in numbers:
            raise NotUnderstood(f"{one.at.text!r} does not fit {column}.")
        return Filter(column, one.at.sense, numbers)

    def _period(self, phrase: Phrase) -> Filter:
        before = self.left.beside(phrase, -1)
        if before and before.has_quantity and BARE_YEAR.fullmatch(phrase.text):
            only(phrase, ())  # "a price between 1990 and 2010"
        self.left.use(phrase)
        column, ends = self.date(self.query.table, phrase), list[Any]()
        for day in (phrase.period.first, phrase.period.after) if phrase.period else ():
            if day and column.kind == "year" and (day.month, day.day) != (1, 1):
                raise NotUnderstood(f"{column} has years only.")
            ends.append(day and (day.year if column.kind == "year" else day.isoformat()))
        return Filter(column, "period", tuple(ends))

    def _is_value(self, phrase: Phrase) -> bool:
        """Whether a phrase is a value: "cancelled" may be a status, or a date of the rows."""
        rows = self.query.table
        own = any(value.column.table == rows for value in phrase.values)
        dated = any(c.table == rows for c in phrase.columns)
        return bool(phrase.values) and not phrase.tables and (own or not dated)

    def _value(self, phrase: Phrase) -> Filter:
        """A column or a table that is named beside a value tells which one is meant."""
        columns = list(dict.fromkeys(value.column for value in phrase.values))
        for other in (self.left.beside(phrase), self.left.beside(phrase, -1)):
            if other and (named := [c for c in columns if c in other.columns and not other.tables]):
                self.left.use(other)
                columns = named
            elif other and (phrase.start == other.end or phrase.end == other.start):
                columns = [c for c in columns if c.table in other.tables] or columns
        # A status of the rows asked for, rather than a name of others
        kinds = {value.column for value in phrase.values if value.is_kind}
        own = [c for c in columns if c.table == self.query.table and c in kinds]
        column = only(phrase, own or columns)
        texts = tuple(dict.fromkeys(v.text for v in phrase.values if v.column == column))
        if len(texts) > 1:
            raise NotUnderstood(f"{phrase.text!r} can mean {' or '.join(map(repr, texts))}.")
        return Filter(column, "in", texts, negated=self._is_negated(phrase))

    def _is_negated(self, phrase: Phrase) -> bool:
        """Marks the phrase as used, and a "not" before it."""
        before = self.left.beside(phrase, -1)
        no = before if before and before.sense == "not" else None
        self.left.use(phrase, no)
        return no is not None

    def _flags(self) -> list[Filter]:
        found = []
        for phrase in [p for p in self.left if any(c.kind == "flag" for c in p.columns)]:
            column = self.column(phrase, "flag", near=self.query.table)
            negated = self._is_negated(phrase)
            found.append(Filter(column, "in", column.truth[:1], negated))
        return found

    def _use_mentioned(self, filtered: list[Column]) -> None:
        """Names that add nothing: a column of the query, "PLACED", a table that rows refer to."""
        query = self.query
        used = {*filtered, *query.select, query.order, query.group, query.shown}
        for phrase in [p for p in self.left if p.kind == "name"]:
            dated = [c for c in phrase.columns if c.is_dated and c.table == query.table]
            is_set = len(dated) == 1 and not (dated[0].nullable or phrase.is_part)
            above = phrase.tables and self.schema.paths(query.table, phrase.tables[0])
            if above or is_set or (used & {*phrase.columns} and not phrase.tables):
                self.left.use(phrase)
