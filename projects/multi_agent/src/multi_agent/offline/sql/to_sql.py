"""Turns a query into SQL.

    to_sql(query, schema)       # "SELECT COUNT(*) AS value FROM orders WHERE orders.status = 'new'"

Tables are only ever joined from many to one, so no row is counted twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from multi_agent.data.schema import ForeignKey, quoted
from multi_agent.offline.sql.query import Filter, Measure, Query
from multi_agent.offline.sql.schema import Column, Schema
from seedbed.errors import BadInput

_KEYWORDS = {"order", "group", "table", "index", "select", "from", "where", "by", "to", "user"}
_KEYWORDS |= {"values", "check", "references", "transaction", "limit", "case", "end", "default"}
_PERIODS = {"year": 4, "month": 7, "day": 10}  # characters of an ISO date


def to_sql(query: Query, schema: Schema) -> str:
    """The SELECT. Raises BadInput if its tables can't be joined without counting rows twice."""
    scope, keys = _Scope(schema, query.table), list[str]()
    # 1. What is shown: columns of rows, or a measure and the group it belongs to
    if query.measure:
        value = scope.measure(query.measure)
        shown, keys = scope.group(query) if query.group else ({}, [])
    else:
        shown = scope.shown(query.select or schema.tables[query.table].label)
        value = scope.amount(query.order) if query.order else ""
    columns = [f"{sql} AS {_name(head)}" for head, sql in shown.items()]
    columns += [f"{value} AS value"] if value else []
    # 2. Which rows
    where = [scope.condition(one) for one in query.filters]
    where += [f"{key} IS NOT NULL" for key in keys[:1] or ([value] if query.order else [])]
    # 3. Groups and ranks, in which ties share a place
    if query.limit:
        direction = " DESC" if query.descending else ""
        columns.append(f"RANK() OVER (ORDER BY {value}{direction}) AS place")
    sql = "SELECT " + ("" if value else "DISTINCT ") + f"{', '.join(columns)} {scope.source}"
    sql += f" WHERE {' AND '.join(where)}" if where else ""
    sql += f" GROUP BY {', '.join(dict.fromkeys([*keys, *shown.values()]))}" if keys else ""
    if not query.limit:
        return sql + (f" ORDER BY {', '.join(shown.values())}" if keys else "")
    heads = ", ".join([*map(_name, shown), "value"])
    return f"SELECT {heads} FROM ({sql}) AS ranks WHERE place <= {query.limit} ORDER BY place, 1"


class _Scope:
    """One SELECT: its first table, and the tables joined to it by a key, each from many to one."""

    def __init__(self, schema: Schema, base: str) -> None:
        self.schema, self.base = schema, base
        self.joins: dict[str, ForeignKey] = {}

    @property
    def source(self) -> str:
        """FROM and its joins."""
        text = f"FROM {_name(self.base)}"
        for key in self.joins.values():
            target = _name(key.target)
            text += f" LEFT JOIN {target} ON {target}.{_name(key.target_column)}"
            text += f" = {_name(key.table)}.{_name(key.column)}"
        return text

    def join(self, path: Sequence[ForeignKey]) -> None:
        for key in path:
            if self.joins.setdefault(key.target, key) != key or key.target == self.base:
                raise BadInput(f"{key.target} is needed twice.")

    def column(self, column: Column) -> str:
        """A column as it is stored; its table is joined if need be."""
        paths = self.schema.paths(self.base, column.table)
        if len(paths) != 1:
            keys = " or ".join(f"{path[0].table}.{path[0].column}" for path in paths) or "no key"
            raise BadInput(f"{column.table} can be reached by {keys}.")
        self.join(paths[0])
        return f"{_name(column.table)}.{_name(column.name)}"

    def amount(self, column: Column) -> str:
        """A column as it is shown: cents as whole money."""
        return self.column(column) + (" / 100.0" if column.unit == "cent" else "")

    def shown(self, columns: Iterable[Column]) -> dict[str, str]:
        """Columns by their heads; a reference as the name of the row it refers to."""
        shown: dict[str, str] = {}
        for column in columns:
            sql = self.amount(column)
            if key := self.schema.reference(column):
                self.join([key])
                label = self.schema.tables[key.target].label
                shown |= {str(c): f"{_name(key.target)}.{_name(c.name)}" for c in label}
            else:
                shown[column.name] = sql
        return shown

    def group(self, query: Query) -> tuple[dict[str, str], list[str]]:
        """What a group shows, and the columns that tell groups apart."""
        if isinstance(query.group, str):
            table = self.schema.tables[query.group]
            return self.shown(table.label), [self.column(table.key or table.label[0])]
        assert query.group is not None
        shown = self.shown([query.group])
        if query.period and query.group.kind != "year":
            text = f"CAST({self.column(query.group)} AS TEXT)"
            shown = {query.period: f"substr({text}, 1, {_PERIODS[query.period]})"}
        return shown, list(shown.values())

    def measure(self, measure: Measure) -> str:
        """The aggregate."""
        if measure.column is None:
            return "COUNT(*)"
        if measure.function == "count":
            return f"COUNT(DISTINCT {self.column(measure.column)})"
        value = f"{measure.function.upper()}({self.column(measure.column)})"
        return value + (" / 100.0" if measure.column.unit == "cent" else "")

    def condition(self, one: Filter) -> str:
        """A condition; a negated one is also true of an empty cell."""
        column, values = self.column(one.column), list(map(_literal, one.values))
        match one.operator:
            case "in":
                text = f"{column} IN ({', '.join(values)})"
            case "between":
                text = f"{column} BETWEEN {' AND '.join(values)}"
            case "period":
                ends = zip((">=", "<"), values, one.values, strict=True)
                text = " AND ".join(f"{column} {op} {value}" for op, value, day in ends if day)
            case operator:
                text = f"{column} {operator} {values[0]}"
        return f"NOT COALESCE({text}, FALSE)" if one.negated else text


def _name(name: str) -> str:
    """An identifier, in quotes where it needs them."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in _KEYWORDS
    return name if plain else quoted(name)


def _literal(value: Any) -> str:
    """A value as SQL."""
    if isinstance(value, bool | int | float):
        return f"{value:.12g}" if isinstance(value, float) else str(value)
    return "'" + str(value).replace("'", "''") + "'"
