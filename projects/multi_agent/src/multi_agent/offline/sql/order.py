"""Superlatives: what is compared, and how rows or groups are ordered by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from multi_agent.offline.sql.draft import AGGREGATES, Draft, NotUnderstood
from multi_agent.offline.sql.link import Link
from multi_agent.offline.sql.logical_form import Measure
from multi_agent.offline.sql.schema import Column, Table
from multi_agent.offline.sql.words import word

TOTALS = set("total revenue turnover sales spend earn earned".split())
_SUMMED = {word(n).stem for n in "quantity revenue total amount units payment sales goals".split()}
_OFTEN = ("most often", "most frequently", "least often")


@dataclass
class Order:
    """A superlative: "the top 5 … by revenue"."""

    descending: bool
    hint: str
    limit: int
    at: Link
    argument: Link | None = None
    function: str = ""


def claim_order(draft: Draft) -> Order | None:
    """The superlative of the question, with what it compares."""
    order = None
    for one in draft.free("superlatives"):
        if order is not None:
            raise NotUnderstood(f"I can't combine {order.at.text!r} and {one.text!r}.")
        direction, _, hint = one.hint.partition(" ")
        order = Order(direction == "desc", hint, 1, one)
        one.role, last = "order", one
        for number in (draft.before(one), draft.next(one)):
            if number and number.number is not None and not number.dates and not number.role:
                order.limit, number.role = int(number.number), "limit"
                last = max(last, number, key=lambda link: link.start)
        _claim_argument(draft, order, draft.next(last))
    return order


def _claim_argument(draft: Draft, order: Order, after: Link | None) -> None:
    """What is compared: "the highest average SALARY", "the most ORDERS", "top 5 by REVENUE"."""
    preposition = next((one for one in draft.free("group") if one.text == "by"), None)
    by = draft.next(preposition)
    if by and (by.operators & {*AGGREGATES} or (draft.is_item(by) and draft.numeric(by))):
        assert preposition is not None
        preposition.role, after = "order", by
    if after and after.text in ("in total", "altogether", "overall"):
        after.role, order.function, after = "order", "sum", None
    elif after and after.operators & {*AGGREGATES} and not after.role:
        order.function = next(name for name in AGGREGATES if name in after.operators)
        after.role, after = "order", draft.next(after)
    counting = order.at.text in ("most", "fewest", "least") and not order.function
    while after and counting and draft.is_adjective(after):
        after = draft.next(after)
    if after and draft.is_item(after):
        numeric = draft.numeric(after) and not (counting and is_table(after))
        if order.function or by is after or numeric:
            order.argument = after
        elif counting and after.table:
            order.argument, order.function = after, "count"
    elif counting or (order.function and after is None) or order.at.text in _OFTEN:
        earlier = [one for one in draft.items_before(order.at) if not one.role]
        earlier = [one for one in earlier if one.tables or not draft.is_flag(one)]
        if len(earlier) > 1 or draft.free("who"):
            order.argument = earlier[0] if earlier else None
    if order.argument is not None:
        order.argument.role = "order"


def is_table(one: Link) -> bool:
    """Whether a phrase names a table at least as well as a column."""
    best = one.columns[0][0] if one.columns else 0.0
    return bool(one.tables) and one.tables[0][0] >= best


def resolve_order(draft: Draft, order: Order | None) -> None:
    """Order rows by a column, or groups by a measure."""
    if order is None or order.limit == 0:
        return
    draft.descending, draft.limit = order.descending, order.limit
    if draft.group is not None and draft.measure is not None and order.argument is None:
        return
    value = _order_value(draft, order)
    if isinstance(value, Measure):
        names_rows = not draft.select
        draft.group = draft.group or (draft.subject if names_rows else draft.select[0])
        draft.measure, draft.select = value, ()
    elif draft.measure is not None or draft.group is not None:
        raise NotUnderstood(f"I don't know what {order.at.text!r} refers to.")
    else:
        draft.order = value


def _order_value(draft: Draft, order: Order) -> Measure | Column:
    argument, function = order.argument, order.function
    extreme: Any = "max" if order.descending else "min"
    near = [o for o in (draft.before(order.at), draft.next(order.at)) if draft.is_item(o)]
    if argument is None and order.hint:
        column = draft.hinted(order.hint, draft.subject)
        for one in near if order.hint == "date" else ():  # "hired first"
            if one and draft.dated(one):
                column, one.role = draft.column(one, "date", "year"), "order"
            elif (
                one and one.table not in (None, draft.subject) and (at := draft.date_of(one.table))
            ):
                one.role = "order"  # "the vet of the latest visit"
                return Measure(extreme, one.table, at)
        if column is not None:
            return column
        for one in near:  # "the building with the most expensive repair"
            if one and one.table and (column := draft.hinted(order.hint, one.table)):
                one.role = "order"
                return Measure(extreme, one.table, column)
    if argument is None and draft.select and not order.hint:
        return Measure("count", draft.table(draft.select[0]))
    if argument is None and not order.hint and order.at.text in ("highest", "lowest"):
        for one in near:  # "who was charged the highest fine"
            if one and one.table and one.table != draft.subject:
                one.role = "order"
                return Measure(extreme, one.table, number_of(draft, one.table))
        return number_of(draft, draft.subject)
    if argument is None:
        raise NotUnderstood(f"I don't know what {order.at.text!r} refers to.")
    if function == "count" or (not draft.numeric(argument) and not (function and argument.table)):
        if argument.table is not None:
            return count_of(draft, argument, argument.table)
        counted = draft.column(argument)
        if order.at.text in _OFTEN:
            return Measure("count", draft.table(counted))
        return Measure("count", draft.table(counted), counted)
    if draft.numeric(argument) or argument.table is None:
        column = draft.column(argument, "number")
    else:
        column = number_of(draft, argument.table)
    rows = draft.above(draft.subject, draft.table(column))
    grouped = bool(draft.select) and draft.select[0] not in draft.subject.label
    if rows and not function and not grouped:
        return column
    own = bool(draft.select) and draft.select[0].table == column.table
    if order.at.text in ("most", "least") and own and not function and not is_summed(column):
        raise NotUnderstood(f"I don't know whether {column} is meant in total or of one row.")
    summed = (
        order.at.text in ("most", "least", "top", "fewest")
        or bool(column.expression or TOTALS & {*argument.text.split()})
        or bool(order.hint and is_summed(column))
    )
    name: Any = {"much": "sum", "": "sum" if summed else extreme}.get(function, function)
    return Measure(name, draft.table(column), column)


def count_of(draft: Draft, one: Link, table: Table) -> Measure:
    """The number of rows; of the tickets in "ticket sales" with a quantity, their total."""
    words = draft.words[one.start : one.end]
    sold = len(table.words) > 1 and table.words[-1].text in ("sale", "sales")
    if sold and table.words[0].stem in {w.stem for w in words[-1:]}:
        quantities = [c for c in table.columns if c.words[-1].text == "quantity"]
        if len(quantities) == 1:
            return Measure("sum", table, quantities[0])
    return Measure("count", table)


def number_of(draft: Draft, table: Table) -> Column:
    """The one number that a table is about: the amount of a fine."""
    numbers = [column for column in table.columns if draft.is_number(column)]
    numbers = [column for column in numbers if column.expression] or numbers
    summed = [c for c in numbers if {w.stem for w in c.words} & _SUMMED] or numbers
    if len(summed) != 1:
        raise NotUnderstood(f"I don't know which number of {table.name} you mean.")
    return summed[0]


def is_summed(column: Column) -> bool:
    """Whether a column is added up by nature: a quantity, revenue, an amount."""
    return bool({w.stem for w in column.words} & _SUMMED or column.expression)
