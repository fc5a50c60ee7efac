"""What is asked for: rows, columns of them, or a measure, and with it the subject."""

from __future__ import annotations

from typing import Any

from multi_agent.offline.sql.draft import NO_TABLE, Draft, NotUnderstood
from multi_agent.offline.sql.link import Link
from multi_agent.offline.sql.logical_form import Measure
from multi_agent.offline.sql.order import TOTALS, Order, count_of, is_summed, is_table, number_of
from multi_agent.offline.sql.schema import Column, Table
from multi_agent.offline.sql.words import UNITS, ignored, word


def resolve_target(
    draft: Draft, asking: list[Link], order: Order | None, group: Link | None
) -> None:
    """Find the subject, and what of it is asked for."""
    items = [one for one in draft.links if draft.is_item(one) and not draft.is_adjective(one)]
    items = [one for one in items if one.tables or not draft.is_flag(one)]
    start = asking[0] if asking else None
    kind = next((k for k in ("who", "when", "where", "how") if start and k in start.operators), "")
    later = [one for one in items if not start or one.start >= start.end]
    target = next(iter(later or items), None)
    first = draft.next(start) if start else next(iter(draft.links), None)
    value = first and first.kind == "value" and not draft.is_adjective(first)
    who = target if kind == "who" and target is first else None
    if who and not who.tables and draft.schema.reference(who.columns[0][1]):
        return _select(draft, draft.column(who), who)  # "who is the manager of"
    if first and first.unit and draft.function == "count" and (column := _measured(draft, first)):
        first.role = "target"  # "how many litres"
        return _measure(draft, column)
    if (kind and not (who and who.tables)) or (draft.function == "count" and value):
        return _resolve_without_target(draft, kind, order, first)
    kinds = [v.column for v in first.values if v.whole and v.enumeration] if first and value else []
    if start and start.text == "which" and order and order.argument and kinds:
        draft.subject = draft.table(kinds[0])  # "which hotel has the most orders"
        return
    if draft.function == "much" and target and not draft.numeric(target):
        target = next((one for one in items if draft.numeric(one)), target)
    if target is None and group and order and order.argument and order.argument.table:
        draft.subject = order.argument.table  # "in which month … the most orders"
        return
    if target is None or (order and order.argument and group and draft.numeric(order.argument)):
        return _resolve_without_target(draft, kind, order, first)
    if draft.function == "count" and target is first and _is_kind(draft, target):
        return _count_named(draft, target)
    target.role = "target"
    numeric = draft.function in ("sum", "avg", "min", "max", "much") and draft.numeric(target)
    if target.table is not None and not numeric and is_table(target):
        after = draft.next(target)
        draft.subject = target.table
        if after is None or not _qualifies(draft, target.table, after):
            return _ask_rows(draft, group, target)
        after.role, target = "target", after
    _ask_columns(draft, target)


def _measured(draft: Draft, one: Link) -> Column | None:
    """The only column in a unit, among the tables named or among all."""
    numbers = [c for t in draft.schema.tables for c in t.columns if draft.is_number(c)]
    same = [c for c in numbers if c.unit and UNITS[c.unit] == UNITS[one.unit]]
    same = [c for c in same if c.table in draft.mentioned()] or same
    return same[0] if len(same) == 1 else None


def _is_kind(draft: Draft, one: Link) -> bool:
    """Whether a phrase is a kind of row, "curator" for staff, rather than who curated something."""
    keys = [key for _, c in one.columns if (key := draft.schema.reference(c))]
    kinds = {v.column.table for v in one.values if v.enumeration and v.whole}
    return not one.tables and any(key.target in kinds for key in keys)


def _qualifies(draft: Draft, table: Table, after: Link) -> bool:
    """Whether a table only says whose column is meant: "customer email", "invoice amount"."""
    columns = [column for _, column in after.columns if column.table == table.name]
    direct = after.start == draft.links[draft.links.index(after) - 1].end
    plain = draft.is_item(after) and not after.tables and not after.values and bool(columns)
    numeric = draft.function in ("", "count", "share") or draft.numeric(after)
    timed = {column.kind for column in columns} & {"flag", "date", "year"}
    return direct and plain and numeric and not timed


def _ask_rows(draft: Draft, group: Link | None, target: Link) -> None:
    sold = next((o for o in draft.links if draft.is_item(o) and o.text == "sell"), None)
    quantities = [c for _, c in sold.columns if draft.is_number(c)] if sold else []
    if sold and quantities and (draft.function == "count" or (group and not draft.function)):
        sold.role = "function"
        draft.measure = Measure("sum", draft.table(quantities[0]), quantities[0])
    elif draft.function in ("count", "share", "difference") or (group and not draft.function):
        draft.measure = count_of(draft, target, draft.subject)
    elif draft.function and draft.inner == "count":
        raise NotUnderstood(f"I can't compute the {draft.function} of a number of rows.")
    elif draft.function:
        _measure(draft, number_of(draft, draft.subject))


def _ask_columns(draft: Draft, target: Link) -> None:
    texts = any(column.kind == "text" for _, column in target.columns)
    counted = draft.function == "count" and draft.numeric(target) and not texts
    number = draft.function in ("sum", "avg", "min", "max", "much") or counted
    column = draft.column(target, *(["number"] if number else []))
    draft.subject = draft.table(column)
    total = column.expression or TOTALS & {*target.text.split()}
    if not draft.function and draft.is_number(column) and total:
        draft.function = "sum"
    if draft.function:
        return _measure(draft, column)
    draft.select = (column,)
    after = draft.next(target)
    while after and draft.is_item(after) and draft.words[after.start - 1].text in ("and", ","):
        if after.values or after.tables:
            break
        draft.select += (draft.column(after),)
        after.role = "target"
        after = draft.next(after)


def _measure(draft: Draft, column: Column) -> None:
    function: Any = draft.function
    if function in ("share", "difference"):
        function = draft.inner or function
    draft.subject = table = draft.table(column)
    if (
        function == "much" and draft.inner != "sum" and not is_summed(column)
    ):  # "how much does a lamp cost"
        draft.select, draft.function = (column,), ""
    elif draft.is_number(column):
        name: Any = function if function in ("avg", "min", "max") else "sum"
        draft.measure = Measure(name, table, column)
    elif function in ("count", "share"):
        key = draft.schema.reference(column)
        counted = Measure("count", draft.schema.table(key.target)) if key else None
        draft.measure = counted or Measure("count", table, column)
    else:
        raise NotUnderstood(f"I can't compute the {function} of {column}.")


def _resolve_without_target(
    draft: Draft, kind: str, order: Order | None, first: Link | None
) -> None:
    """Who, when, where, how tall; the highest salary; how many MRI scans."""
    links = ([order.argument] if order and order.argument else []) + [
        one for one in draft.links if one.role in ("", "comparison") and one is not first
    ]
    if first and not first.role:
        links.insert(0, first)
    tables = [t for o in links for _, t in o.tables[:1]]
    tables += [draft.table(v.column) for o in links for v in o.values if v.whole and not o.tables]
    tables += [draft.table(c) for o in links for _, c in o.columns[:1]]
    if order and order.argument and draft.numeric(order.argument) and kind != "who":
        return _ask_extreme(draft, order)
    if kind == "who":
        draft.subject = _person(draft, tables)
        return
    if not tables:
        raise NotUnderstood(NO_TABLE)
    draft.subject = tables[0]
    if kind == "when":
        verb = next((o for o in links if draft.is_item(o) and draft.dated(o)), None)
        column = draft.column(verb, "date", "year") if verb else draft.date_of(draft.subject)
        _select(draft, column, verb)
    elif kind == "where":
        names = "city address street location place country"
        _select(
            draft,
            next(
                (
                    c
                    for n in names.split()
                    for c in draft.subject.columns
                    if n in {w.text for w in c.words}
                ),
                None,
            ),
        )
    elif kind == "how":
        adjective = draft.free("adjectives")
        _select(
            draft,
            draft.hinted(adjective[0].hint, draft.subject) if adjective else None,
            *adjective[:1],
        )
    else:
        _count_named(draft, first)


def _select(draft: Draft, column: Column | None, one: Link | None = None) -> None:
    if column is None:
        raise NotUnderstood("I don't know which column the question asks for.")
    draft.subject, draft.select = draft.table(column), (column,)
    if one is not None:
        one.role = "target"


def _count_named(draft: Draft, first: Link | None) -> None:
    """ "How many no-shows": rows with a status. "How many MRI scans": rows that refer to a scan."""
    flag = first and first.columns and first.columns[0][1].kind == "flag"
    if draft.function == "count" and first and flag:  # "how many yellow cards"
        draft.subject = draft.table(first.columns[0][1])
        draft.measure = Measure("count", draft.subject)
        return
    if draft.function not in ("", "count", "share") or first is None or not first.values:
        raise NotUnderstood("I don't know what the question asks for.")
    value = max(first.values, key=lambda one: (one.whole, one.enumeration))
    draft.subject = draft.table(value.column)
    if value.column in draft.subject.label:
        below = {key.table for key in draft.schema.foreign_keys if key.target == value.column.table}
        if len(below) != 1:
            raise NotUnderstood(f"I don't know what to count of {value.value!r}.")
        draft.subject = draft.schema.table(below.pop())
    elif not draft.function and not value.enumeration:
        raise NotUnderstood("I don't know what the question asks for.")
    if not draft.function:
        return
    draft.measure = Measure("count", draft.subject)


def _ask_extreme(draft: Draft, order: Order) -> None:
    """ "The highest salary": the number itself, not the row."""
    assert order.argument is not None
    if order.limit > 1 or order.function:
        raise NotUnderstood(f"I don't know whose {order.argument.text} you mean.")
    draft.function = "max" if order.descending else "min"
    _measure(draft, draft.column(order.argument, "number"))
    order.at.role, order.hint, order.argument = "function", "", None
    order.limit = 0


def _person(draft: Draft, tables: list[Table]) -> Table:
    persons = {word(name).stem for name in ignored("persons")}
    people = [t for t in draft.schema.tables if t.key and t.words[-1].stem in persons]
    for table in tables:
        above = [person for person in people if draft.above(table, person)]
        if table in people or len(above) == 1:
            return table if table in people else above[0]
    if len(people) != 1:
        raise NotUnderstood("I don't know which people the question is about.")
    return people[0]
