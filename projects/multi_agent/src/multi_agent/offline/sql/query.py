"""What a question asks, apart from the language and from SQL.

    Query("orders", Measure("count"), filters=(Filter(status, "in", ("cancelled",)),))

`interpret` makes it from the phrases of a question, `to_sql` turns it into SQL. As a text it is the
reading that the user can check.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from multi_agent.offline.sql.schema import Column

Function = Literal["count", "sum", "avg", "min", "max"]
_FUNCTIONS = {"sum": "total", "avg": "average", "min": "lowest", "max": "highest"}
_OPERATORS = {">": "more than", ">=": "at least", "<": "less than", "<=": "at most"}


@dataclass(frozen=True)
class Measure:
    """An aggregate; without a column, the number of rows."""

    function: Function
    column: Column | None = None

    def __str__(self) -> str:
        return f"{_FUNCTIONS.get(self.function, 'number of different')} {self.column}"


@dataclass(frozen=True)
class Filter:
    """A condition on a column: a comparison, "in" some values, "between", a "period"."""

    column: Column
    operator: str
    values: tuple[Any, ...] = ()
    negated: bool = False

    def __str__(self) -> str:
        words = " or ".join(map(_text, self.values))
        if self.operator == "period":
            first, after = self.values
            words = f"from {first} " * bool(first) + f"until before {after}" * bool(after)
        elif self.operator == "between":
            words = f"between {' and '.join(map(_text, self.values))}"
        parts = [str(self.column), "not" * self.negated, _OPERATORS.get(self.operator, ""), words]
        return " ".join(filter(None, parts))


@dataclass(frozen=True)
class Query:
    """Rows of a table, or a measure of them, possibly for each group; the best ones, if ranked."""

    table: str
    measure: Measure | None = None
    select: tuple[Column, ...] = ()
    """What to show of each row; empty: its name."""
    group: str | Column | None = None
    period: str = ""
    """The part of a date to group by: "month"."""
    filters: tuple[Filter, ...] = ()
    order: Column | None = None
    """What rows are ranked by; groups are ranked by the measure."""
    descending: bool = False
    limit: int = 0
    """How many places of a ranking to show; 0: it is none."""

    @property
    def shown(self) -> Column | None:
        """The column whose value is the answer."""
        return self.measure.column if self.measure else next(iter(self.select), None)

    def __str__(self) -> str:
        """The query in plain words.

        >>> str(Query("orders", Measure("count"), limit=3))
        'number of orders; lowest 3'
        """
        what = ", ".join(map(str, self.select)) or self.table
        if self.measure:
            what = str(self.measure) if self.measure.column else f"number of {what}"
        if self.group:
            what += f" per {self.period + ' of ' * bool(self.period)}{self.group}"
        parts = [what, *map(str, self.filters)]
        if self.limit:
            by = f" by {self.order}" if self.order else ""
            parts.append(f"{'highest' if self.descending else 'lowest'} {self.limit}{by}")
        return "; ".join(parts)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
