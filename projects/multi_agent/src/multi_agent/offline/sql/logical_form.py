"""What a question asks, apart from the language and from SQL.

    LogicalForm(orders, measure=Measure("count", orders), filters=(Filter(orders, status, …),))

`interpret` makes it from the links of a question, `sql` turns it into a query, and `describe` puts
it in plain words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from multi_agent.data.schema import ForeignKey
from multi_agent.offline.sql.schema import Column, Table

Function = Literal["count", "sum", "avg", "min", "max"]
_FUNCTIONS = {"sum": "total", "avg": "average", "min": "lowest", "max": "highest"}
_WORDS = {">": "more than", ">=": "at least", "<": "less than", "<=": "at most", "=": ""}


@dataclass(frozen=True)
class Measure:
    """An aggregate over rows of `table`; without a column, the number of rows."""

    function: Function
    table: Table
    column: Column | None = None

    def __str__(self) -> str:
        if self.column is None:
            return f"number of {self.table.name}"
        if self.function == "count":
            return f"number of different {self.column}"
        return f"{_FUNCTIONS[self.function]} {self.column}"


@dataclass(frozen=True)
class Filter:
    """A condition on the rows of `table`, or that such rows exist, or on a measure of them.

    Filters with the same `negation` above 0 are negated together. `via` picks one of several
    foreign keys (home team, away team).
    """

    table: Table
    column: Column | None = None
    operator: str = "exists"
    values: tuple[Any, ...] = ()
    negation: int = 0
    measure: Measure | None = None
    inner: tuple[Filter, ...] = ()
    """Which rows the measure is about."""
    via: ForeignKey | None = None

    def __str__(self) -> str:
        no = "not " if self.negation else ""
        values = " or ".join(map(str, self.values))
        if self.measure is not None:
            which = "".join(f" with {one}" for one in self.inner)
            return f"{no}{self.measure}{which} {_WORDS[self.operator]} {values}"
        if self.column is None:
            return f"with{'out' if self.negation else ''} {self.table.name}"
        if self.operator == "dates":
            return f"{no}{self.column} from {self.values[0]} until before {self.values[1]}"
        if self.operator == "empty":
            return f"{self.column} {'set' if self.negation else 'empty'}"
        role = f" ({self.via.column})" if self.via else ""
        return f"{self.column}{role} {no}{_WORDS.get(self.operator, '')} {values}".replace(
            "  ", " "
        )


@dataclass(frozen=True)
class LogicalForm:
    """A list of rows, or a measure, over filtered rows of `subject`, possibly per group."""

    subject: Table
    select: tuple[Column, ...] = ()
    measure: Measure | None = None
    filters: tuple[Filter, ...] = ()
    group: Table | Column | None = None
    via: ForeignKey | None = None
    """Which of several references to the group is meant."""
    order: Column | None = None
    """A column to order rows by; groups are ordered by the measure."""
    descending: bool | None = None
    limit: int | None = None
    share: tuple[Filter, ...] = ()
    """The condition on the counted part, if a percentage is asked for."""
    minus: tuple[Filter, ...] = ()
    """The measure of the rows with `share` less that of those with `minus`."""


def describe(form: LogicalForm) -> str:
    """The form in plain words, for the user to check.

    >>> orders = Table("orders", (), 9)
    >>> describe(LogicalForm(orders, measure=Measure("count", orders), limit=3))
    'number of orders; only 3'
    """
    what = ", ".join(map(str, form.select)) or form.subject.name
    if form.measure is not None:
        what = str(form.measure)
    if form.share and not form.minus:
        what = f"percentage of {what} with {' and '.join(map(str, form.share))}"
    if form.minus:
        sides = [" and ".join(map(str, side)) for side in (form.share, form.minus)]
        what = f"difference of {what} between {sides[0]} and {sides[1]}"
    if form.group is not None:
        name = form.group.name if isinstance(form.group, Table) else str(form.group)
        what += f" per {name}"
    if form.filters:
        what += "; " + "; ".join(map(str, form.filters))
    if form.descending is not None:
        by = f" {form.order}" if form.order else ""
        what += f"; {'highest' if form.descending else 'lowest'}{by} first"
    return what + (f"; only {form.limit}" if form.limit else "")
