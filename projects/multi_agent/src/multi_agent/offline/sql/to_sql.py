"""Turns a query into SQL.

    to_sql(query, schema)       # "SELECT COUNT(*) AS value FROM orders WHERE orders.status = 'open'"

Tables are only ever joined from many to one, so no row is counted twice; rows that refer to the
ones asked for are counted in a subquery.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from multi_agent.data.schema import ForeignKey, quoted
from multi_agent.offline.sql.query import Filter, Measure, Query, Related
from multi_agent.offline.sql.schema import Column, Schema
from seedbed.errors import BadInput

_KEYWORDS = {"order", "group", "table", "index", "select", "from", "where", "by", "to", "user"}
_KEYWORDS |= {"values", "check", "references", "transaction", "limit", "case", "end", "default"}
_PERIODS = {"year": 4, "month": 7, "day": 10}  # characters of an ISO date


def to_sql(query: Query, schema: Schema) -> str:
    """The SELECT. Raises BadInput if its tables can't be joined without counting rows twice."""
    scope, value, keys = _Scope(schema, query.table), "", list[str]()
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
    where = scope.conditions(query.filters)
    where += [scope.related(query.related)] if query.related else []
    where += [f"{key} IS NOT NULL" for key in keys[:1] or ([value] if query.order else [])]
    # 3. Groups and ranks
    direction = " DESC" if query.descending else ""
    if query.limit:  # ties share a place
        columns.append(f"RANK() OVER (ORDER BY {value}{direction}) AS place")
    sql = "SELECT " + ("" if value else "DISTINCT ") + f"{', '.join(columns)} {scope.source}"
    sql += f" WHERE {' AND '.join(where)}" if where else ""
    sql += f" GROUP BY {', '.join(dict.fromkeys([*keys, *shown.values()]))}" if keys else ""
    if query.limit:
        heads = ", ".join([*map(_name, shown), "value"])
        return (
            f"SELECT {heads} FROM ({sql}) AS ranked WHERE place <= {query.limit} ORDER BY place, 1"
        )
    return sql + (f" ORDER BY {', '.join(shown.values())}" if keys else "")


class _Scope:
    """One SELECT: its first table, and the tables joined to it, each from many to one."""

    def __init__(self, schema: Schema, base: str) -> None:
        self.schema = schema
        self.base = base
        self.aliases: dict[tuple[ForeignKey, ...], str] = {(): _name(base)}

    @property
    def source(self) -> str:
        """FROM and its joins."""
        text = f"FROM {_name(self.base)}"
        for path, alias in self.aliases.items():
            if path:
                key, before = path[-1], self.aliases[path[:-1]]
                text += f" LEFT JOIN {_name(key.target)}"
                text += "" if alias == _name(key.target) else f" AS {alias}"
                text += f" ON {alias}.{_name(key.target_column)} = {before}.{_name(key.column)}"
        return text

    def table(self, table: str) -> str:
        """The alias of a table, which is joined if need be."""
        paths = self.schema.paths(self.base, table)
        if len(paths) > 1:
            keys = " or ".join(f"{path[0].table}.{path[0].column}" for path in paths)
            raise BadInput(f"{table} can be reached by {keys}.")
        if not paths:
            raise BadInput(f"{self.base} does not refer to {table}.")
        return self._join(paths[0])

    def _join(self, path: tuple[ForeignKey, ...]) -> str:
        if path not in self.aliases:
            self._join(path[:-1])
            taken = sum(other[-1].target == path[-1].target for other in self.aliases if other)
            taken += path[-1].target == self.base
            self.aliases[path] = _name(path[-1].target + (f"_{taken + 1}" if taken else ""))
        return self.aliases[path]

    def column(self, column: Column) -> str:
        """A column as it is stored."""
        return f"{self.table(column.table)}.{_name(column.name)}"

    def amount(self, column: Column) -> str:
        """A column as it is shown: cents as whole money."""
        return self.column(column) + (" / 100.0" if column.unit == "cent" else "")

    def shown(self, columns: Iterable[Column]) -> dict[str, str]:
        """Columns by their heads; a reference as the name of the row it refers to."""
        shown = {}
        for column in columns:
            if key := self.schema.reference(column):
                path = self.schema.paths(self.base, column.table)[0]
                alias = self._join((*path, key))
                label = self.schema.tables[key.target].label
                shown |= {f"{key.target} {c.name}": f"{alias}.{_name(c.name)}" for c in label}
            else:
                shown[column.name if column.name not in shown else str(column)] = self.amount(
                    column
                )
        return shown

    def group(self, query: Query) -> tuple[dict[str, str], list[str]]:
        """What a group shows, and the columns that tell groups apart."""
        group = query.group
        if isinstance(group, str):
            table = self.schema.tables[group]
            return self.shown(table.label), [self.column(table.key or table.label[0])]
        assert group is not None
        shown = self.shown([group])
        if query.period and group.kind != "year":
            text = f"CAST({self.column(group)} AS TEXT)"
            shown = {query.period: f"substr({text}, 1, {_PERIODS[query.period]})"}
        return shown, list(shown.values())

    def measure(self, measure: Measure) -> str:
        if measure.column is None:
            return "COUNT(*)"
        if measure.function == "count":
            return f"COUNT(DISTINCT {self.column(measure.column)})"
        value = f"{measure.function.upper()}({self.column(measure.column)})"
        return value + (" / 100.0" if measure.column.unit == "cent" else "")

    def conditions(self, filters: Iterable[Filter]) -> list[str]:
        parts = [(one, self._condition(one)) for one in filters]
        return [f"NOT COALESCE({part}, FALSE)" if one.negated else part for one, part in parts]

    def _condition(self, one: Filter) -> str:
        column = self.column(one.column)
        match one.operator:
            case "set":
                return f"{column} IS NOT NULL"
            case "in" if len(one.values) == 1:
                return f"{column} = {_literal(one.values[0])}"
            case "in":
                return f"{column} IN ({', '.join(map(_literal, one.values))})"
            case "period":
                ends = zip((">=", "<"), one.values, strict=True)
                return " AND ".join(
                    f"{column} {op} {_literal(v)}" for op, v in ends if v is not None
                )
            case "between":
                return f"{column} BETWEEN {' AND '.join(map(_literal, one.values))}"
        return f"{column} {one.operator} {_literal(one.values[0])}"

    def related(self, related: Related) -> str:
        """The condition on the number of related rows; below n includes rows without any."""
        inner, key = _Scope(self.schema, related.table), self.schema.tables[self.base].key
        if key is None:
            raise BadInput(f"{self.base} has no key to count by.")
        inside = f"{inner.table(self.base)}.{_name(key.name)}"
        where = " AND ".join([f"{inside} IS NOT NULL", *inner.conditions(related.filters)])
        operator, negated = {"<": (">=", "NOT "), "<=": (">", "NOT ")}.get(
            related.operator, (related.operator, "")
        )
        having = f" GROUP BY {inside} HAVING COUNT(*) {operator} {_literal(related.number)}"
        having = "" if (operator, related.number) == (">=", 1) else having
        outside = f"{self.column(key)} {negated}IN"
        return f"{outside} (SELECT {inside} {inner.source} WHERE {where}{having})"


def _name(name: str) -> str:
    """An identifier, in quotes where it needs them."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in _KEYWORDS
    return name if plain else quoted(name)


def _literal(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return (
        str(value)
        if isinstance(value, (bool, int, float))
        else "'" + str(value).replace("'", "''") + "'"
    )
