"""What a question asks, apart from the language and from SQL.

    Query("orders", Measure("count"), filters=(Filter(status, "=", ("cancelled",)),))

`interpret` makes it from the phrases of a question, `to_sql` turns it into SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from multi_agent.offline.sql.schema import Column

Function = Literal["count", "sum", "avg", "min", "max"]
_FUNCTIONS = {"count": "number of different", "sum": "total", "avg": "average"}
_FUNCTIONS |= {"min": "lowest", "max": "highest"}
_OPERATORS = {">": "more than", ">=": "at least", "<": "less than", "<=": "at most", "=": "exactly"}


@dataclass(frozen=True)
class Measure:
    """An aggregate; without a column, the number of rows."""

    function: Function
    column: Column | None = None


@dataclass(frozen=True)
class Filter:
    """A condition on a column: a comparison, "in" some values, a "between", a "period", "set"."""

    column: Column
    operator: str
    values: tuple[Any, ...] = ()
    negated: bool = False

    def __str__(self) -> str:
        values = " or ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in self.values)
        if self.operator == "period":
            first, after = self.values
            values = (f"from {first} " if first else "") + (
                f"until before {after}" if after else ""
            )
        elif self.operator == "between":
            values = "between " + values.replace(" or ", " and ")
        elif self.operator in _OPERATORS:
            values = f"{_OPERATORS[self.operator]} {values}"
        return f"{self.column}{' not' if self.negated else ''} {values or 'set'}"


@dataclass(frozen=True)
class Related:
    """How many rows of another table that refer to a row there are: "with more than 3 orders"."""

    table: str
    filters: tuple[Filter, ...] = ()
    operator: str = ">="
    number: float = 1

    def __str__(self) -> str:
        some = f"{_OPERATORS[self.operator]} {self.number:g} of {self.table}"
        none = f"without {self.table}"
        text = none if (self.operator, self.number) == ("<", 1) else f"with {some}"
        return text + "".join(f" ({one})" for one in self.filters)


@dataclass(frozen=True)
class Query:
    """Rows of a table, or a measure of them, possibly for each group; the best ones, if ranked."""

    table: str
    measure: Measure | None = None
    select: tuple[Column, ...] = ()
    """What to show of each row; of a group, it is the group."""
    group: str | Column | None = None
    period: str = ""
    """The part of a date to group by: "month"."""
    filters: tuple[Filter, ...] = ()
    related: Related | None = None
    order: Column | None = None
    """What rows are ranked by; groups are ranked by the measure."""
    descending: bool | None = None
    limit: int = 0

    @property
    def shown(self) -> Column | None:
        """The column whose value is the answer."""
        return self.measure.column if self.measure else next(iter(self.select), None)

    def __str__(self) -> str:
        """The query in plain words, for the user to check.

        >>> str(Query("orders", Measure("count"), limit=3))
        'number of orders; only 3'
        """
        what = ", ".join(map(str, self.select)) or self.table
        if self.measure:
            column = self.measure.column
            what = (
                f"{_FUNCTIONS[self.measure.function]} {column}" if column else f"number of {what}"
            )
        if self.group:
            what += f" per {self.period + ' of ' if self.period else ''}{self.group}"
        parts = [what, *map(str, self.filters), *([str(self.related)] if self.related else [])]
        if self.descending is not None:
            by = f" {self.order}" if self.order else ""
            parts.append(f"{'highest' if self.descending else 'lowest'}{by} first")
        return "; ".join(parts + ([f"only {self.limit}"] if self.limit else []))
