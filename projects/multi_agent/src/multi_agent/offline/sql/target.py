"""Finds what a question asks for: a table, and a measure or columns of its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from multi_agent.offline.sql.link import Phrase
from multi_agent.offline.sql.phrases import AGGREGATES, NotUnderstood, Ranking, Readings, only
from multi_agent.offline.sql.query import Measure, Query
from multi_agent.offline.sql.schema import Column

_NO_TABLE = "I don't know which table the question is about."


class Target(Readings):
    """Step 2: the table, and what of its rows is asked for."""

    def read(self, ranking: Ranking | None, group: Phrase | None) -> Query:
        """The query without conditions."""
        functions = self.left.operators(*AGGREGATES)
        self.left.use(*functions, *self.left.operators("distinct"))
        target = self._target(functions)
        if ranking and functions:
            raise NotUnderstood(f"I can't combine {functions[0].text!r} and {ranking.at.text!r}.")
        if ranking:
            query = self._ranked(ranking, target or group)
        elif functions:
            query = self._measured(functions, target)
        else:
            query = self._listed(target)
        return self._grouped(query, group) if group and not query.group else query

    def _target(self, functions: list[Phrase]) -> Phrase | None:
        """The first table or column; after the function, if there is one."""
        names = [p for p in self.left if (p.tables or p.columns) and not p.is_adjective]
        later = [p for p in names if functions and p.start >= functions[0].end] or names
        if functions and functions[0].sense != "count":  # "the average customer AGE"
            later = [p for p in later if p.has_quantity] or later
        self.left.use(*later[:1])
        return later[0] if later else None

    def _measured(self, functions: list[Phrase], target: Phrase | None) -> Query:
        at, senses = functions[0], {phrase.sense for phrase in functions}
        senses -= {"sum"} if "count" in senses else set()  # "the total number of"
        if len(senses) > 1:
            raise NotUnderstood(f"I can't combine {' and '.join(repr(p.text) for p in functions)}.")
        (function,) = senses
        if target and target.has_quantity:
            return _of(self.column(target, "number"), "sum" if function == "count" else function)
        if function == "count":
            if not target or target.tables:
                return Query(self._table(target), Measure("count"))
            return _of(self.column(target, "text"), "count")
        if target and target.tables and at in (self.left.beside(target, s) for s in (-1, 1)):
            return _of(self._only_number(target), function)  # "the average payment"
        raise NotUnderstood(f"I don't know which number {at.text!r} refers to.")

    def _listed(self, target: Phrase | None) -> Query:
        if target and not target.tables:
            column = self.column(target)
        elif dated := next(
            (p for p in self.left if p.is_dated and not p.values and not target), None
        ):
            self.left.use(dated)
            column = self.column(dated, "date", "year")
        else:
            return Query(self._table(target))
        return Query(column.table, select=(column,))

    def _ranked(self, ranking: Ranking, target: Phrase | None) -> Query:
        at, name, function = ranking.at, ranking.name, ranking.function
        ranked: dict[str, Any] = {"descending": at.sense == "desc", "limit": ranking.limit}
        named = self._table(target) if target and target.tables else ""
        # 1. Groups by the number of their rows: "the customer with the most orders"
        if function == "count":
            if target is None or (name is None and named):
                raise NotUnderstood(_NO_TABLE)
            table = self._table(name) if name else self.column(target).table
            return self._grouped(Query(table, Measure("count"), **ranked), target)
        # 2. Rows by the column of an adjective: "the cheapest product", "the latest order"
        if name is None:
            tables = [named] if named else self.schema.tables
            column = (
                self.date(named, at) if named and at.hint == ("date",) else self.hinted(at, tables)
            )
            select = (self.column(target),) if target and not named else ()
            return Query(column.table, select=select, order=column, **ranked)
        # 3. A number alone: "the highest salary", "the highest fee of a visit"
        column = self.column(name, "number") if name.has_quantity else self._only_number(name)
        after = target and target.start > name.start
        if not function and name.has_quantity and ranking.limit == 1 and (not target or after):
            return _of(column, ranking.extreme)
        # 4. Rows or groups by it: "the doctor with the highest salary", "who paid the most"
        if target is None:
            raise NotUnderstood(f"I don't know whose {name.text!r} is meant.")
        if named and not function and self.schema.paths(named, column.table):
            return Query(named, order=column, **ranked)
        if not function and not name.has_quantity and ranking.extreme != "sum":
            raise NotUnderstood(f"I don't know what of {name.text!r} is meant.")
        return self._grouped(replace(_of(column, function or ranking.extreme), **ranked), target)

    def _grouped(self, query: Query, phrase: Phrase) -> Query:
        """A measure per table, column or part of a date."""
        if not query.measure:
            raise NotUnderstood(f"I don't know what to compute per {phrase.text!r}.")
        if phrase.unit and (phrase.is_part or not phrase.columns):
            return replace(query, group=self.date(query.table, phrase), period=phrase.unit)
        if phrase.tables:
            group: str | Column = self._table(phrase)
        else:
            group = self.column(phrase, near=query.table)
        if group == query.table or (isinstance(group, Column) and group.is_quantity):
            raise NotUnderstood(f"I can't group {query.table} by {phrase.text!r}.")
        least = query.limit and not query.descending and not query.measure.column
        if isinstance(group, str) and least:
            raise NotUnderstood("I can't rank by the fewest, which may be none.")
        return replace(query, group=group)

    def _table(self, phrase: Phrase | None) -> str:
        tables = phrase.tables if phrase else tuple(self.schema.tables)
        if len(tables) != 1:
            raise NotUnderstood(_NO_TABLE)
        return tables[0]

    def _only_number(self, phrase: Phrase) -> Column:
        """The one number that a table is about: the amount of a payment."""
        table = phrase.tables[0] if phrase.tables else self.column(phrase).table
        return only(phrase, [c for c in self.schema.tables[table].columns if c.is_quantity])


def _of(column: Column, function: Any) -> Query:
    return Query(column.table, Measure(function, column))
