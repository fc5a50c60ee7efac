"""Turn a logical form into SQL.

    to_sql(form, schema)        # 'SELECT COUNT(*) FROM orders WHERE orders.status = \'cancelled\''

Tables are only ever joined from many to one, so no row is counted twice; conditions on rows in the
other direction become `IN (SELECT …)`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from multi_agent.data.schema import ForeignKey
from multi_agent.offline.sql.logical_form import Filter, LogicalForm, Measure
from multi_agent.offline.sql.schema import Column, Schema, Table
from seedbed.errors import BadInput

_KEYWORDS = {"order", "group", "table", "index", "select", "from", "where", "by", "to", "user"}
_KEYWORDS |= {"values", "check", "references", "transaction", "limit", "case", "end", "default"}


def quote(name: str) -> str:
    """An identifier, in quotes where it needs them."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in _KEYWORDS
    return name if plain else '"' + name.replace('"', '""') + '"'


def literal(value: Any) -> str:
    """A value as SQL."""
    if isinstance(value, (bool, int, float)):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


class _Scope:
    """One SELECT: its first table and the tables joined to it, each many to one."""

    def __init__(self, schema: Schema, base: Table) -> None:
        self.schema = schema
        self.base = base
        self.aliases: dict[tuple[ForeignKey, ...], str] = {(): quote(base.name)}

    def reach(self, table: Table, via: ForeignKey | None = None) -> str | None:
        """The alias of a table, joined if need be; None if it is not many to one from here."""
        paths = self.schema.paths(self.base, table)
        if via is not None:
            paths = tuple(path for path in paths if via in path) or paths
        if len(paths) > 1:
            keys = " or ".join(f"{path[0].table}.{path[0].column}" for path in paths)
            raise BadInput(f"{table.name} can be reached by {keys}.")
        return self.join(paths[0]) if paths else None

    def join(self, path: tuple[ForeignKey, ...]) -> str:
        if path not in self.aliases:
            self.join(path[:-1])
            name, number = path[-1].target, 1
            while quote(name) in self.aliases.values():
                number += 1
                name = f"{path[-1].target}_{number}"
            self.aliases[path] = quote(name)
        return self.aliases[path]

    @property
    def source(self) -> str:
        text = f"FROM {quote(self.base.name)}"
        for path, alias in self.aliases.items():
            if path:
                key, before = path[-1], self.aliases[path[:-1]]
                name = quote(key.target)
                name += f" AS {alias}" if alias != name else ""
                text += f" LEFT JOIN {name} ON {alias}.{quote(key.target_column)}"
                text += f" = {before}.{quote(key.column)}"
        return text

    def column(self, column: Column, via: ForeignKey | None = None) -> str:
        alias = self.reach(self.schema.table(column.table), via)
        if alias is None:
            raise BadInput(f"{column} is not related to {self.base.name} row by row.")
        if column.expression:
            return column.expression.replace("{t}", alias)
        return f"{alias}.{quote(column.name)}"

    def columns(self, columns: Sequence[Column]) -> list[str]:
        """The columns to show: a foreign key as the name of the row it refers to."""
        shown = []
        for column in columns:
            key = self.schema.reference(column)
            if key is None:
                cents = " / 100.0" if column.unit in ("cents", "cent") else ""
                shown.append(self.column(column) + cents)
            else:
                alias = self.join(
                    (*self.schema.paths(self.base, self.schema.table(column.table))[0], key)
                )
                label = self.schema.table(key.target).label
                shown += [f"{alias}.{quote(one.name)}" for one in label]
        return shown

    def measure(self, measure: Measure, condition: str = "") -> str:
        if measure.column is None:
            return self._count(measure.table, condition)
        value = self.column(measure.column)
        if measure.function == "count":
            return f"COUNT(DISTINCT {_when(condition, value)})"
        if measure.table != self.base and measure.function in ("sum", "avg"):
            raise BadInput(f"{measure} would count rows of {measure.table.name} several times.")
        total = f"{measure.function.upper()}({_when(condition, value)})"
        return f"{total} / 100.0" if measure.column.unit in ("cents", "cent") else total

    def _count(self, table: Table, condition: str) -> str:
        if table == self.base:
            return f"COUNT({_when(condition, '1') if condition else '*'})"
        alias = self.reach(table)
        if alias is None or table.key is None:
            raise BadInput(f"{table.name} cannot be counted per row of {self.base.name}.")
        return f"COUNT(DISTINCT {_when(condition, f'{alias}.{quote(table.key.name)}')})"

    def condition(self, filters: Sequence[Filter]) -> str:
        """All filters as one condition; those with the same negation are negated together."""
        ordered = sorted(filters, key=lambda one: one.negation)
        parts = []
        for negation, group in groupby(ordered, key=lambda one: one.negation):
            positive = [replace(one, negation=0) for one in group]
            inner = self._all(positive)
            parts += [f"NOT COALESCE({' AND '.join(inner)}, FALSE)"] if negation else inner
        return " AND ".join(parts)

    def _all(self, filters: Sequence[Filter]) -> list[str]:
        parts = []
        below: dict[tuple[tuple[ForeignKey, ...], ForeignKey], list[Filter]] = {}
        for one in filters:
            if one.measure is not None:
                parts.append(self._having(one))
            elif self.schema.paths(self.base, one.table):
                parts.append(self._direct(one))
            else:
                below.setdefault(descent(self.schema, self.base, one.table), []).append(one)
        for (up, key), group in below.items():
            alias = self.join(up)
            inner = _Scope(self.schema, self.schema.table(key.table))
            rest = [one for one in group if one.column or one.table.name != key.table]
            inside = f"{quote(key.table)}.{quote(key.column)}"
            where = " AND ".join([f"{inside} IS NOT NULL", *inner._all(rest)])
            outside = f"{alias}.{quote(key.target_column)}"
            parts.append(f"{outside} IN (SELECT {inside} {inner.source} WHERE {where})")
        return parts

    def _direct(self, one: Filter) -> str:
        if one.column is None:
            alias, key = self.reach(one.table, one.via), one.table.key or one.table.columns[0]
            return f"{alias}.{quote(key.name)} IS NOT NULL"
        column = self.column(one.column, one.via)
        if one.operator == "dates":
            parts = zip((">=", "<"), one.values, strict=True)
            return " AND ".join(f"{column} {op} {literal(v)}" for op, v in parts if v is not None)
        if one.operator == "empty":
            return f"{column} IS NULL"
        if len(one.values) > 1:
            return f"{column} IN ({', '.join(map(literal, one.values))})"
        value = one.values[0]
        other = self.column(value, one.via) if isinstance(value, Column) else literal(value)
        return f"{column} {one.operator} {other}"

    def _having(self, one: Filter) -> str:
        """A condition on a measure of related rows; a count below n includes rows without any."""
        assert one.measure is not None
        base = self.schema.base(one.measure.table, one.table)
        if base is None:
            raise BadInput(f"{one.measure.table.name} are not related to {one.table.name}.")
        inner = _Scope(self.schema, base)
        alias, key = inner.reach(one.table), one.column or one.table.key
        outer = self.reach(one.table)
        if key is None or outer is None:
            raise BadInput(f"{one.table.name} has no key to count by.")
        operator, negated = one.operator, ""
        if one.measure.function == "count" and operator in ("<", "<="):
            operator, negated = {"<": ">=", "<=": ">"}[operator], "NOT "
        measure, value = inner.measure(one.measure), literal(one.values[0])
        condition = "".join(f" AND {part}" for part in inner._all(one.inner))
        inside = f"{alias}.{quote(key.name)}"
        return (
            f"{outer}.{quote(key.name)} {negated}IN (SELECT {inside} {inner.source} WHERE {inside}"
            f" IS NOT NULL{condition} GROUP BY {inside} HAVING {measure} {operator} {value})"
        )


def descent(schema: Schema, start: Table, end: Table) -> tuple[tuple[ForeignKey, ...], ForeignKey]:
    """The keys from `start` up to a table, and the key that refers to it on the way to `end`.

    A table that refers to both, such as the orders of customers and products, comes first.
    """
    above = [(path[0], t) for t in schema.tables if (path := schema.paths(start, t))]
    above = [(path, t) for path, t in above if len(path) < 2]  # what is further is a coincidence
    for up, table in sorted(above, key=lambda one: len(one[0])):
        base = schema.base(table, end)
        if base is not None and base != table and (down := schema.paths(base, table)):
            if len({path[-1] for path in down}) > 1:
                raise BadInput(f"{base.name} refers to {table.name} in several ways.")
            return up, down[0][-1]
    raise BadInput(f"{start.name} and {end.name} are not related.")


def _when(condition: str, value: str) -> str:
    return f"CASE WHEN {condition} THEN {value} END" if condition else value


def to_sql(form: LogicalForm, schema: Schema) -> str:
    """The query. Raises BadInput if its tables can't be joined without counting rows twice."""
    if form.measure is None:
        return _list_sql(form, schema)
    group = [schema.table(form.group.table) if isinstance(form.group, Column) else form.group]
    tables = [form.measure.table, *(one for one in group if one)]
    base = schema.base(*tables)
    if base is None:
        raise BadInput(f"{' and '.join(t.name for t in tables)} are not related row by row.")
    scope = _Scope(schema, base)
    value = _value(form, scope)
    where = scope.condition(form.filters)
    if form.group is None:
        return f"SELECT {value} AS value {scope.source}" + (f" WHERE {where}" if where else "")
    return _grouped_sql(form, scope, value, where)


def _value(form: LogicalForm, scope: _Scope) -> str:
    assert form.measure is not None
    if form.minus:
        sides = [scope.measure(form.measure, scope.condition(s)) for s in (form.share, form.minus)]
        return f"{sides[0]} - {sides[1]}"
    if form.share:
        part = scope.measure(form.measure, scope.condition(form.share))
        return f"100.0 * {part} / {scope.measure(form.measure)}"
    return scope.measure(form.measure)


def _grouped_sql(form: LogicalForm, scope: _Scope, value: str, where: str) -> str:
    group = form.group
    if isinstance(group, Column):
        names = keys = scope.columns([group])
    else:
        assert group is not None
        alias = scope.reach(group, form.via)
        keys = [f"{alias}.{quote((group.key or group.columns[0]).name)}"]
        names = [f"{alias}.{quote(one.name)}" for one in group.label]
    where = " AND ".join(filter(None, [where, f"{keys[0]} IS NOT NULL"]))
    by = ", ".join(dict.fromkeys([*keys, *names]))
    sql = f"SELECT {', '.join(names)}, {value} AS value {scope.source} WHERE {where} GROUP BY {by}"
    counts_zero = form.measure and form.measure.function == "count" and form.descending is False
    if counts_zero and isinstance(group, Table) and group != scope.base and group.key:
        sql = _with_zeros(form, scope, keys[0], value, where)
    direction = {None: ", ".join(names), True: "value DESC", False: "value"}[form.descending]
    return f"{sql} ORDER BY {direction}" + (f" LIMIT {form.limit}" if form.limit else "")


def _with_zeros(form: LogicalForm, scope: _Scope, key: str, value: str, where: str) -> str:
    """Groups without any row count as 0 when the lowest count is asked for."""
    group = form.group
    assert isinstance(group, Table) and group.key
    outer = _Scope(scope.schema, group)
    own = [one for one in form.filters if scope.schema.paths(group, one.table)]
    names = ", ".join(outer.columns(form.select or group.label))
    condition = outer.condition(own)
    inner = f"SELECT {key} AS id, {value} AS n {scope.source} WHERE {where} GROUP BY {key}"
    return (
        f"SELECT {names}, COALESCE(counts.n, 0) AS value {outer.source}"
        f" LEFT JOIN ({inner}) AS counts ON counts.id = {quote(group.name)}.{quote(group.key.name)}"
        + (f" WHERE {condition}" if condition else "")
    )


def _list_sql(form: LogicalForm, schema: Schema) -> str:
    scope = _Scope(schema, form.subject)
    names = scope.columns(form.select or form.subject.label)
    where = scope.condition(form.filters)
    if form.order:
        order = scope.column(form.order)
        where = " AND ".join(filter(None, [where, f"{order} IS NOT NULL"]))
        names += scope.columns([form.order])
    unique = [] if form.order else ["DISTINCT"]
    sql = " ".join(["SELECT", *unique, ", ".join(dict.fromkeys(names)), scope.source])
    sql += f" WHERE {where}" if where else ""
    if form.order:
        sql += f" ORDER BY {order}{' DESC' if form.descending else ''}"
    return sql + (f" LIMIT {form.limit}" if form.limit else "")
