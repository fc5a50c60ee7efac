"""Turns the values, numbers, periods and flags of a question into conditions.

Those on the rows asked for, or on rows that these refer to, are filters; those on rows that refer
to them ("customers with orders in May") are put together in one `Related`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from multi_agent.offline.english import UNITS, convert
from multi_agent.offline.sql.link import BARE_YEAR, Phrase
from multi_agent.offline.sql.phrases import Comparison, NotUnderstood, Phrases, Readings, only
from multi_agent.offline.sql.query import Filter, Query, Related
from multi_agent.offline.sql.schema import Column, Schema

_LISTED = 2  # tokens between the values of one list: ", or"


@dataclass(frozen=True)
class _Found:
    """A condition, or a table that is only mentioned, with its phrase."""

    phrase: Phrase
    table: str
    filter: Filter | None
    negated: bool


class Conditions(Readings):
    """Step 3: which rows a query is about."""

    def __init__(self, left: Phrases, schema: Schema, query: Query) -> None:
        super().__init__(left, schema)
        self.query = query

    def read(self, comparisons: list[Comparison]) -> Query:
        """The query with the conditions."""
        # "more than 3 orders" counts rows of another table, "more than 3 euros" does not
        counts = [c for c in comparisons if self._counts_rows(c)]
        found = [self._compared(c) for c in comparisons if c not in counts]
        found += self._periods()
        found += self._values()
        found += self._flags([one.filter.column for one in found if one.filter])
        near = [one for one in found if self.schema.paths(self.query.table, one.table)]
        if any(one.filter is None and one.negated for one in near):
            raise NotUnderstood("I don't know what the negation refers to.")
        shown = self.query.select[:1]
        if shown and shown[0].kind != "text" and not (self.query.order or self._names_row(found)):
            raise NotUnderstood(f"I don't know whose {shown[0]} is meant.")
        filters = [replace(one.filter, negated=one.negated) for one in near if one.filter]
        related = self._related([one for one in found if one not in near], counts)
        return replace(self.query, filters=tuple(filters), related=related)

    def _names_row(self, found: list[_Found]) -> bool:
        """Whether the question says of what: the price of a table is not one number."""
        columns = [one.filter.column for one in found if one.filter]
        return any(c.unique or c in self.schema.tables[c.table].label for c in columns)

    def _found(self, phrase: Phrase, table: str, filter: Filter | None = None) -> _Found:
        """Marks the phrase as used, and a "not" before it."""
        before = self.left.beside(phrase, -1)
        while before and before.is_adjective and not before.values:  # "never PLACED an order"
            before = self.left.beside(before, -1)
        no = before if before and before.sense == "not" else None
        self.left.use(phrase, no)
        return _Found(phrase, table, filter, no is not None)

    def _counts_rows(self, one: Comparison) -> bool:
        tables = one.name.tables if one.name and one.at.kind == "operator" else ()
        return bool(tables) and self.query.table not in tables and not one.unit

    def _compared(self, one: Comparison) -> _Found:
        """ "Over 50 euros": of the name beside it, its adjective, or the only one in its unit."""
        table = self.schema.tables[self.query.table]
        if one.name and one.name.has_quantity:
            column = self.column(one.name, "number", near=table.name)
        elif one.name and (key := self.schema.tables[one.name.tables[0]].key):  # "order 17"
            column = key
        elif one.at.hint:
            column = self.hinted(one.at, [table.name])
        else:
            kind = UNITS[one.unit][0] if one.unit else ""
            column = only(one.at, [c for c in table.columns if c.is_quantity and c.measures(kind)])
        unit = "euro" if column.unit == "cent" and not one.unit else one.unit  # 50 are 5000 cents
        numbers: tuple[float | None, ...] = one.numbers
        if unit and column.unit:
            numbers = tuple(convert(number, unit, column.unit) for number in one.numbers)
        if column.kind == "text" or None in numbers:
            raise NotUnderstood(f"{one.at.text!r} does not fit {column}.")
        return self._found(one.at, column.table, Filter(column, one.operator, numbers))

    def _periods(self) -> list[_Found]:
        found: list[_Found] = []
        for phrase in [p for p in self.left if p.period]:
            column, ends = self._date(phrase), list[Any]()
            if any(one.filter and one.filter.column == column for one in found):
                raise NotUnderstood(f"I can't combine {phrase.text!r} with the other period.")
            for day in (phrase.period.first, phrase.period.after) if phrase.period else ():
                if day and column.kind == "year" and (day.month, day.day) != (1, 1):
                    raise NotUnderstood(f"{column} has years only.")
                ends.append(day and (day.year if column.kind == "year" else day.isoformat()))
            found.append(self._found(phrase, column.table, Filter(column, "period", tuple(ends))))
        return found

    def _date(self, period: Phrase) -> Column:
        """The date that a period is about: named nearest before it, or after, or the main one."""
        if period.columns:
            return period.columns[0]
        before = [p for p in reversed(self.left.all) if p.start < period.start]
        if before and before[0].has_quantity and BARE_YEAR.fullmatch(period.text):
            only(period, ())  # "a price between 1990 and 2010"
        for phrase in [*before, *(p for p in self.left if p.start > period.start)]:
            beside = phrase in before[:1] and not self._is_value(phrase)
            if phrase.is_dated and (beside or not phrase.values):
                self.left.use(phrase)
                return self.column(phrase, "date", "year", near=self.query.table)
            if phrase in before and phrase.tables:
                table = phrase.tables[0]
                if not self.schema.paths(self.query.table, table):
                    return self.main_date(table, period)  # "customers with orders in 2024"
        return self.main_date(self.query.table, period)

    def _values(self) -> list[_Found]:
        found: list[_Found] = []
        for phrase in [p for p in self.left if self._is_value(p)]:
            column = self._value_column(phrase)
            texts = tuple(dict.fromkeys(v.text for v in phrase.values if v.column == column))
            if len(texts) > 1:
                raise NotUnderstood(f"{phrase.text!r} can mean {' or '.join(map(repr, texts))}.")
            one = self._found(phrase, column.table, Filter(column, "in", texts))
            last = found[-1] if found else one
            if last.filter and last.filter.column == column and last is not one:
                if phrase.start - last.phrase.end > _LISTED:
                    raise NotUnderstood(
                        f"I can't combine {last.phrase.text!r} and {phrase.text!r}."
                    )
                self.left.use(self.left.beside(phrase, -1))  # "or"
                both = Filter(column, "in", (*last.filter.values, *texts))
                one = replace(found.pop(), phrase=phrase, filter=both)
            found.append(one)
        return found

    def _is_value(self, phrase: Phrase) -> bool:
        """Whether a phrase is a value: "cancelled" may be a status, or a date of the rows."""
        rows = self.query.table
        own = any(value.column.table == rows for value in phrase.values)
        dated = any(c.table == rows for c in phrase.columns)
        return bool(phrase.values) and not phrase.tables and (own or not dated)

    def _value_column(self, phrase: Phrase) -> Column:
        """The column whose value is meant; the user decides where several can be."""
        columns = list(dict.fromkeys(value.column for value in phrase.values))
        kinds = {value.column for value in phrase.values if value.is_kind}
        beside = [o for o in (self.left.beside(phrase), self.left.beside(phrase, -1)) if o]
        # 1. A column or a table that is named beside it
        for other in beside:
            if named := [c for c in columns if c in other.columns and not other.tables]:
                self.left.use(other)
                columns = named
        for other in beside if len(columns) > 1 else ():
            close = phrase.start == other.end or phrase.end == other.start
            own = [c for c in columns if c.table in other.tables and (close or c in kinds)]
            columns = own or columns
        # 2. What kind of rows are asked for: a status of theirs, not a name of others
        columns = [c for c in columns if c.table == self.query.table and c in kinds] or columns
        return only(phrase, columns)

    def _flags(self, filtered: list[Column]) -> list[_Found]:
        """Flags, dates that are set or not, and tables that are only named."""
        query, found = self.query, []
        used = {*filtered, *query.select, query.order, query.group, query.shown}
        for phrase in [p for p in self.left if p.kind == "name"]:
            flags = [c for c in phrase.columns if c.kind == "flag"]
            own = [c for c in phrase.columns if c.table == query.table and c.nullable]
            before = self.left.beside(phrase, -1)
            if phrase.tables:
                found.append(self._found(phrase, phrase.tables[0]))
            elif flags:
                column = self.column(phrase, "flag", near=query.table)
                found.append(
                    self._found(phrase, column.table, Filter(column, "in", column.truth[:1]))
                )
            elif used & {*phrase.columns}:
                self.left.use(phrase)
            elif len(own) == 1 and (own[0].kind == "date" or (before and before.sense == "not")):
                # "Delivered", "without a phone": a cell that is set, or not
                found.append(self._found(phrase, query.table, Filter(own[0], "set")))
            elif phrase.is_dated and not phrase.is_part:
                column = self.column(phrase, "date", "year", near=query.table)
                if not column.nullable:  # "orders PLACED by Ann"
                    found.append(self._found(phrase, column.table))
        return found

    def _related(self, found: list[_Found], counts: list[Comparison]) -> Related | None:
        """All conditions on rows that refer to those asked for, or to what these refer to."""
        if not found and not counts:
            return None
        # 1. The table: the nearest one that has all of them
        named = {table for one in counts if one.name for table in one.name.tables}
        mentioned = named | {one.table for one in found if one.filter is None}
        tables = self.schema.links(self.query.table, *named, *(one.table for one in found))
        tables = (
            [t for t in tables if t in mentioned]
            or [t for t in tables if not self.schema.tables[t].key]
            or tables
        )
        if len(tables) != 1 or (named and tables[0] not in named):
            raise NotUnderstood(f"I don't know how {self.query.table} are related to that.")
        # 2. Whether there are any, none, or how many
        filters = tuple(one.filter for one in found if one.filter)
        denied = any(one.negated for one in found)
        first = min(found, key=lambda one: one.phrase.start, default=None)
        clear = len(counts) < 2 and not (denied and (counts or not (first and first.negated)))
        if not clear or any(one.operator == "between" for one in counts):
            raise NotUnderstood("I don't know which rows are to be counted.")
        operator, number = (counts[0].operator, counts[0].numbers[0]) if counts else (">=", 1.0)
        return Related(tables[0], filters, "<" if denied else operator, number)
