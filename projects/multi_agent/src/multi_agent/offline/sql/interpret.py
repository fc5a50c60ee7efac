"""Decides what the phrases of a question mean together.

    query = interpret(link(tokens, schema, values), schema)

1. The superlative, comparisons and the group take the phrases beside them.
2. The first name left is what is asked for; with it, the table is known.
3. Values, periods and flags become conditions: on the rows asked for and those they refer to
   (filters), or on rows that refer to them (`Related`: "customers with orders in May").
4. A phrase that no step has used raises NotUnderstood: nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from multi_agent.offline.english import UNITS, convert, stem
from multi_agent.offline.sql.link import BARE_YEAR, Phrase
from multi_agent.offline.sql.phrases import (
    AGGREGATES,
    Comparison,
    NotUnderstood,
    Phrases,
    Ranking,
    read_comparisons,
    read_group,
    read_ranking,
)
from multi_agent.offline.sql.query import Filter, Measure, Query, Related
from multi_agent.offline.sql.schema import Column, Schema, ignored

NO_TABLE = "I don't know which table the question is about."
_LISTED = 2  # tokens between the values of one list: ", or"


def interpret(phrases: Sequence[Phrase], schema: Schema) -> Query:
    """The query of a question. Raises NotUnderstood."""
    if unknown := [phrase for phrase in phrases if phrase.kind == "unknown"]:
        raise _left_over(unknown)
    left = Phrases(phrases)
    # 1. What stands beside a superlative, a number or a "per"
    ranking = read_ranking(left)
    comparisons = read_comparisons(left)
    group = read_group(left, ranking)
    # 2. What is asked for
    query = _Target(left, schema).read(ranking, group)
    # 3. Of which rows
    query = _Conditions(left, schema, query).read(comparisons)
    # 4. Nothing may be left
    if rest := [phrase for phrase in left if not _is_harmless(phrase, query)]:
        raise _left_over(rest)
    return query


def _left_over(phrases: Sequence[Phrase]) -> NotUnderstood:
    words = ", ".join(repr(phrase.text) for phrase in phrases)
    return NotUnderstood(f"I don't know what {words} refers to.")


def _is_harmless(phrase: Phrase, query: Query) -> bool:
    """Whether a phrase may be left: "placed BY", and the unit that the answer has anyway."""
    if phrase.kind == "unit" and query.shown:
        kind, size = UNITS[phrase.unit]
        same = bool(query.shown.unit) and UNITS[query.shown.unit] == (kind, size)
        return same or (kind == "money" and size == 1 and query.shown.measures("money"))
    return phrase.text == "by"


class _Step:
    """What both steps need to choose among the readings of a phrase."""

    def __init__(self, left: Phrases, schema: Schema) -> None:
        self.left, self.schema = left, schema

    def column(self, phrase: Phrase, *kinds: str, near: str = "") -> Column:
        """The column that a phrase names: of a table or a row named beside it, or the only one."""
        columns = [c for c in phrase.columns if c.kind in kinds or not kinds]
        columns = [c for c in columns if c.is_quantity or kinds != ("number",)]
        beside = [self.left.beside(phrase, step) for step in (-1, 1)]
        named = {table for other in beside if other for table in other.tables}
        labels = {c for table in self.schema.tables.values() for c in table.label}
        valued = {v.column.table for p in self.left for v in p.values if v.column in labels}
        for tables in (named, {near}, valued):
            columns = [c for c in columns if c.table in tables] or columns
        if len(columns) != 1:
            raise _unclear(phrase, columns)
        return columns[0]

    def hinted(self, phrase: Phrase, tables: Iterable[str]) -> Column:
        """The column that an adjective is about: the price for "cheap"."""
        columns = [c for table in tables for c in self.schema.tables[table].columns]
        columns = [c for c in columns if c.is_quantity or c.is_dated]
        fits = ([c for c in columns if word in c.words] for word in phrase.hint)
        best = next(filter(None, fits), [])
        if len(best) != 1:
            raise _unclear(phrase, best)
        return best[0]

    def main_date(self, table: str, phrase: Phrase) -> Column:
        """The date of a row: the only one, or the one named like its table.

        The lines of an order have the date of the order.
        """
        dates = [c for c in self.schema.tables[table].columns if c.is_dated]
        dates = [c for c in dates if "birth" not in c.words]
        own = self.schema.tables[table].stems | set(map(stem, ignored("general")))
        best = [c for c in dates if own.issuperset(map(stem, c.words))] or dates
        if not best:
            keys = [key for key in self.schema.foreign_keys if key.table == table]
            above = [c for key in keys for c in self.schema.tables[key.target].columns]
            best = [c for c in above if c.is_dated]
        if len(best) != 1:
            raise _unclear(phrase, best)
        return best[0]


def _unclear(phrase: Phrase, readings: Sequence[Column]) -> NotUnderstood:
    some = " or ".join(map(str, readings)) or "nothing in the database"
    return NotUnderstood(f"{phrase.text!r} can refer to {some}.", phrase, readings)


class _Target(_Step):
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
        after = self.left.beside(target, close=True) if target and target.tables else None
        if target and after and after in names and not after.tables:  # "customer EMAIL"
            if own := tuple(c for c in after.columns if c.table in target.tables):
                self.left.use(target)
                target = replace(after, columns=own)
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
        columns = {value.column for value in phrase.values}
        table = columns.pop().table if len(columns) == 1 else ""
        below = {key.table for key in self.schema.foreign_keys if key.target == table}
        if table and any(value.is_kind for value in phrase.values):
            return table
        if len(below) != 1:
            raise _unclear(phrase, [value.column for value in phrase.values])
        return below.pop()

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
        if target is None:
            return _of(column, ranking.extreme)
        if named and not function and self.schema.paths(named, column.table):
            return Query(named, order=column, **ranked)
        if not function and not name.has_quantity:
            raise NotUnderstood(f"I don't know what of {name.text!r} is meant.")
        return self._grouped(replace(_of(column, function or ranking.extreme), **ranked), target)

    def _grouped(self, query: Query, phrase: Phrase) -> Query:
        """A measure per table, column or part of a date."""
        group: str | Column
        if phrase.kind == "unit" or not (phrase.tables or phrase.columns):
            return replace(query, group=self.main_date(query.table, phrase), period=phrase.unit)
        if phrase.tables:
            group = table = self._table(phrase)
        else:
            group = self.column(phrase, near=query.table)
            table = group.table
        number = isinstance(group, Column) and group.is_quantity
        if not query.measure or group == query.table or number:
            raise NotUnderstood(f"I don't know what to compute per {phrase.text!r}.")
        if group == table and query.descending is False and not query.measure.column:
            raise NotUnderstood("I can't rank by the fewest, which may be none.")
        if not self.schema.paths(query.table, table):
            raise NotUnderstood(f"{query.table} does not belong to one of {table}.")
        return replace(query, group=group)

    def _table(self, phrase: Phrase | None) -> str:
        tables = phrase.tables if phrase else tuple(self.schema.tables)
        if len(tables) != 1:
            raise NotUnderstood(NO_TABLE)
        return tables[0]

    def _only_number(self, phrase: Phrase) -> Column:
        """The one number that a table is about: the amount of a payment."""
        table = phrase.tables[0] if phrase.tables else self.column(phrase).table
        numbers = [c for c in self.schema.tables[table].columns if c.is_quantity]
        if len(numbers) != 1:
            raise NotUnderstood(f"I don't know which number of {table} is meant.")
        return numbers[0]


def _of(column: Column, function: Any) -> Query:
    return Query(column.table, Measure(function, column))


@dataclass(frozen=True)
class _Found:
    """A condition, or a table that is only mentioned, with its phrase."""

    phrase: Phrase
    table: str
    filter: Filter | None
    negated: bool


class _Conditions(_Step):
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
        self._check_row_is_named(found)
        filters = [replace(one.filter, negated=one.negated) for one in near if one.filter]
        related = self._related([one for one in found if one not in near], counts)
        return replace(self.query, filters=tuple(filters), related=related)

    def _check_row_is_named(self, found: list[_Found]) -> None:
        """The price of something is one number only if the question says of what."""
        columns = {one.filter.column for one in found if one.filter}
        named = {c for t in self.schema.tables.values() for c in (*t.label, *t.columns[:0])}
        unique = any(column.unique or column in named for column in columns)
        shown = self.query.select[:1]
        if shown and shown[0].kind != "text" and not (unique or self.query.order):
            raise NotUnderstood(f"I don't know whose {shown[0]} is meant.")

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
        """ "Over 50 euros": of the name beside it, of its adjective, or the only one in its unit."""
        table = self.schema.tables[self.query.table]
        if one.name and one.name.has_quantity:
            column = self.column(one.name, "number", near=table.name)
        elif one.name and (key := self.schema.tables[one.name.tables[0]].key):  # "order 17"
            column = key
        elif one.at.hint:
            column = self.hinted(one.at, [table.name])
        else:
            kind = UNITS[one.unit][0] if one.unit else ""
            same = [c for c in table.columns if c.is_quantity and c.measures(kind)]
            if len(same) != 1:
                raise _unclear(one.at, same)
            column = same[0]
        unit = "euro" if column.unit == "cent" and not one.unit else one.unit  # 50 are 5000 cents
        numbers = one.numbers
        if unit and column.unit:
            numbers = tuple(convert(number, unit, column.unit) for number in numbers)
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
            raise _unclear(period, ())  # "a price between 1990 and 2010"
        for phrase in [*before, *(p for p in self.left if p.start > period.start)]:
            if phrase.is_dated and (not phrase.values or phrase in before[:1]):
                self.left.use(phrase)
                return self.column(phrase, "date", "year", near=self.query.table)
            if phrase in before and phrase.tables:
                table = phrase.tables[0]
                if not self.schema.paths(self.query.table, table):
                    return self.main_date(table, period)  # "customers with orders in 2024"
        return self.main_date(self.query.table, period)

    def _values(self) -> list[_Found]:
        found: list[_Found] = []
        for phrase in [p for p in self.left if p.values and not p.tables]:
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
        if len(columns) > 1:
            raise _unclear(phrase, columns)
        return columns[0]

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
