"""Finds what a question asks for: a table, and a measure or columns of its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from multi_agent.offline.english import stem
from multi_agent.offline.sql.link import Phrase
from multi_agent.offline.sql.phrases import AGGREGATES, NotUnderstood, Ranking, Readings, only
from multi_agent.offline.sql.query import Measure, Query
from multi_agent.offline.sql.schema import Column, ignored

NO_TABLE = "I don't know which table the question is about."


class Target(Readings):
    """Step 2: the table, and what of its rows is asked for."""

    def read(self, ranking: Ranking | None, group: Phrase | None) -> Query:
        """The query without conditions."""
        functions = self.left.operators(*AGGREGATES)
        who = self.left.operators("who")
        self.left.use(*functions, *who, *self.left.operators("distinct"))
        target = self._target(functions)
        if ranking and functions:
            raise NotUnderstood(f"I can't combine {functions[0].text!r} and {ranking.at.text!r}.")
        if ranking:
            query = self._ranked(ranking, target or group, asks_who=bool(who))
        elif functions:
            query = self._measured(functions, target)
        else:
            query = self._listed(target)
        rows = query.group if query.measure else query.table
        if who and not (isinstance(rows, str) and self._is_person(rows)):
            raise NotUnderstood(f"I don't know who is meant in {query.table}.")
        if group and not query.group:
            query = self._grouped(query, group)
        return query

    def _is_person(self, table: str) -> bool:
        return bool(self.schema.tables[table].stems & set(map(stem, ignored("persons"))))

    def _target(self, functions: list[Phrase]) -> Phrase | None:
        """The first table or column; after the function, if there is one."""
        names = [p for p in self.left if (p.tables or p.columns) and not p.is_adjective]
        later = [p for p in names if functions and p.start >= functions[0].end] or names
        if functions and functions[0].sense != "count":  # "the average customer AGE"
            later = [p for p in later if p.has_quantity] or later
        target = later[0] if later else None
        after = self.left.beside(target, close=True) if target else None
        own = after.columns if after in names and not after.is_dated else ()
        if target and any(column.table in target.tables for column in own):
            self.left.use(target)  # "customer EMAIL"
            target = after
        self.left.use(target)
        return target

    def _measured(self, functions: list[Phrase], target: Phrase | None) -> Query:
        at, senses = functions[0], {phrase.sense for phrase in functions}
        if "sum" in senses:  # "the total number of", "how much in total"
            senses -= {"sum"} if "count" in senses else {"much"}
        if len(senses) > 1:
            raise NotUnderstood(f"I can't combine {' and '.join(repr(p.text) for p in functions)}.")
        (function,) = senses
        first = self.left.beside(at)
        if function == "count" and first and first.values and not self.left.noun(first):
            return Query(self._counted(first), Measure("count"))
        if target and target.has_quantity:
            column = self.column(target, "number")
        elif function == "count" and (not target or target.tables):
            return Query(self._table(target), Measure("count"))
        elif function == "count" and target:
            return _of(self.column(target, "text"), "count")
        elif target and target.tables and at in (self.left.beside(target, s) for s in (-1, 1)):
            column = self._only_number(target)  # "the average payment"
        else:
            raise NotUnderstood(f"I don't know which number {at.text!r} refers to.")
        if function == "much":
            return Query(column.table, select=(column,))
        return _of(column, "sum" if function == "count" else function)

    def _counted(self, phrase: Phrase) -> str:
        """The rows that a value is the kind of: no-shows are visits with this status."""
        table = only(phrase, [value.column for value in phrase.values]).table
        below = {key.table for key in self.schema.foreign_keys if key.target == table}
        is_kind = any(value.is_kind for value in phrase.values)
        return below.pop() if len(below) == 1 and not is_kind else table

    def _listed(self, target: Phrase | None) -> Query:
        when = self.left.operators("when")
        self.left.use(*when)
        dated = next((p for p in self.left if p.is_dated and not p.values), None)
        if dated and (when or not target):
            self.left.use(dated)
            column = self.column(dated, "date", "year")
        elif when and target and target.tables:
            column = self.main_date(self._table(target), target)
        elif target and not target.tables:
            column = self.column(target)
        else:
            return Query(self._table(target))
        return Query(column.table, select=(column,))

    def _ranked(self, ranking: Ranking, target: Phrase | None, *, asks_who: bool) -> Query:
        at, name, function = ranking.at, ranking.name, ranking.function
        ranked: dict[str, Any] = {"descending": at.sense == "desc", "limit": ranking.limit}
        named = self._table(target) if target and target.tables else ""
        # 1. Groups by the number of their rows: "the customer with the most orders"
        if function == "count":
            if target is None or (name is None and named):
                raise NotUnderstood(NO_TABLE)
            table = self._table(name) if name else self.column(target).table
            return self._grouped(Query(table, Measure("count"), **ranked), target)
        # 2. Rows by the column of an adjective: "the cheapest product", "hired last"
        if name is None:
            beside = (self.left.beside(at, -1), self.left.beside(at))
            dated = next((p for p in beside if p and p.is_dated and not p.tables), None)
            if dated and at.hint == ("date",):
                self.left.use(dated)
                column = self.column(dated, "date", "year", near=named)
            elif named and at.hint == ("date",):
                column = self.main_date(named, at)
            else:
                column = self.hinted(at, [named] if named else self.schema.tables)
            select = (self.column(target),) if target and not named else ()
            return Query(column.table, select=select, order=column, **ranked)
        # 3. Rows or groups by a number: "the highest salary", "the highest average price"
        column = self.column(name, "number") if name.has_quantity else self._only_number(name)
        if target is None and asks_who and not function:
            return Query(column.table, order=column, **ranked)
        if target is None and (ranking.limit > 1 or function or not name.has_quantity):
            raise NotUnderstood(f"I don't know whose {name.text!r} is meant.")
        after = target and target.start > name.start  # "the highest fee of a visit" is a number
        if target is None or (after and not function and not asks_who and ranking.limit == 1):
            return _of(column, ranking.extreme)
        if named and not function and self.schema.paths(named, column.table):
            return Query(named, order=column, **ranked)
        if not function and not name.has_quantity:
            raise NotUnderstood(f"I don't know what of {name.text!r} is meant.")
        return self._grouped(replace(_of(column, function or ranking.extreme), **ranked), target)

    def _grouped(self, query: Query, phrase: Phrase) -> Query:
        """A measure per table, column or part of a date."""
        if phrase.unit and (phrase.is_part or not phrase.columns):
            return replace(query, group=self.main_date(query.table, phrase), period=phrase.unit)
        if phrase.tables:
            group: str | Column = self._table(phrase)
        else:
            group = self.column(phrase, near=query.table)
        number = isinstance(group, Column) and group.is_quantity
        if not query.measure or group == query.table or number:
            raise NotUnderstood(f"I don't know what to compute per {phrase.text!r}.")
        least = query.limit and not query.descending and not query.measure.column
        if isinstance(group, str) and least:
            raise NotUnderstood("I can't rank by the fewest, which may be none.")
        return replace(query, group=group)

    def _table(self, phrase: Phrase | None) -> str:
        tables = phrase.tables if phrase else tuple(self.schema.tables)
        if len(tables) != 1:
            raise NotUnderstood(NO_TABLE)
        return tables[0]

    def _only_number(self, phrase: Phrase) -> Column:
        """The one number that a table is about: the amount of a payment."""
        table = phrase.tables[0] if phrase.tables else self.column(phrase).table
        return only(phrase, [c for c in self.schema.tables[table].columns if c.is_quantity])


def _of(column: Column, function: Any) -> Query:
    return Query(column.table, Measure(function, column))
