"""Decide what the links of a question mean together.

    form = interpret(words, link(words, schema, values), schema)

1. Comparisons, superlatives and groups claim the phrases next to them.
2. The first phrase left is what is asked for; with it, the subject is known.
3. Dates, values and relations become filters.
4. A phrase without a role raises NotUnderstood: nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from multi_agent.data import filters
from multi_agent.data.draft import Draft, NotUnderstood, ignored
from multi_agent.data.link import Link
from multi_agent.data.logical_form import Filter, LogicalForm, Measure
from multi_agent.data.schema import Column, Schema, Table
from multi_agent.data.words import Word, word

AGGREGATES = ("share", "difference", "count", "sum", "avg", "min", "max", "much")
_QUANTITY = {word(name).stem for name in "quantity units seats".split()}
_SUMMED = {word(n).stem for n in "quantity revenue total amount units payment sales goals".split()}
_TOTALS = {"total", "revenue", "turnover", "sales"}
_PERIODS = {"year": 4, "month": 7, "day": 10}  # characters of an ISO date
_OFTEN = ("most often", "most frequently", "least often")
_AUXILIARIES = set("are were was is have has had did do does".split())
_HARMLESS = {
    "within",
    "group",
    "which",
    "who",
    "where",
    "when",
    "how",
    "distinct",
    "count",
    "since",
    "until",
}
_LINKING = ("by", "in", "at", "for", "with", "to", "from", "on", "of")


@dataclass
class Order:
    """A superlative: "the top 5 … by revenue"."""

    descending: bool
    hint: str
    limit: int
    at: Link
    argument: Link | None = None
    function: str = ""


def interpret(words: Sequence[Word], links: list[Link], schema: Schema) -> LogicalForm:
    """The logical form of a question. Raises NotUnderstood."""
    draft = Draft(words, links, schema)
    # 1. Claims
    comparisons = filters.claim_comparisons(draft)
    order = _claim_order(draft)
    group = _claim_group(draft)
    # 2. What is asked for
    asking = _claim_functions(draft)
    _resolve_target(draft, asking, order, group)
    _resolve_group(draft, group)
    _resolve_order(draft, order)
    # 3. Filters
    filters.resolve(draft, comparisons)
    # 4. Nothing may be left
    _check(draft)
    return _finish(draft)


def _claim_order(draft: Draft) -> Order | None:
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
    by = next((draft.next(one) for one in draft.free("group") if one.text == "by"), None)
    if by and (by.operators & {*AGGREGATES} or (draft.is_item(by) and draft.numeric(by))):
        next(one for one in draft.free("group") if one.text == "by").role = "order"
        after = by
    if after and after.text in ("in total", "altogether", "overall"):
        after.role, order.function, after = "order", "sum", None
    elif after and after.operators & {*AGGREGATES} and not after.role:
        order.function = next(name for name in AGGREGATES if name in after.operators)
        after.role, after = "order", draft.next(after)
    counting = order.at.text in ("most", "fewest", "least") and not order.function
    while after and counting and draft.is_adjective(after):
        after = draft.next(after)
    if after and draft.is_item(after):
        if (
            order.function
            or by is after
            or (draft.numeric(after) and not (counting and _exact(after)))
        ):
            order.argument = after
        elif counting and after.table:
            order.argument, order.function = after, "count"
    elif counting or (order.function and after is None) or order.at.text in _OFTEN:
        earlier = [one for one in draft.items_before(order.at) if not one.role]
        if len(earlier) > 1 or draft.free("who"):
            order.argument = earlier[0] if earlier else None
    if order.argument is not None:
        order.argument.role = "order"


def _exact(one: Link) -> bool:
    return bool(one.tables) and one.tables[0][0] >= max(score for score, _ in one.columns)


def _claim_group(draft: Draft) -> Link | None:
    group = None
    for one in draft.free("group"):
        after = draft.next(one)
        verb = one.start > 0 and draft.words[one.start - 1].text.endswith(("ed", "en", "made"))
        plural = after is not None and after.text.endswith("s") and not after.text.endswith("ss")
        if one.text == "by" and (verb or plural):  # "orders placed by customers from Spain"
            continue
        period = after is not None and after.text in _PERIODS and not after.role
        if after is None or not (period or draft.is_item(after)) or draft.is_adjective(after):
            continue
        if group is not None:
            raise NotUnderstood("I can group by one thing only.")
        one.role = after.role = "group"
        group = after
    return group


def _resolve_group(draft: Draft, group: Link | None) -> None:
    if group is None:
        return
    if group.text in _PERIODS:
        draft.group = _period(draft, group)
        return
    draft.group = group.table or draft.column(group)
    if group.table is not None and draft.measure is not None:
        draft.via = filters.via(draft, group.table, group)


def _period(draft: Draft, group: Link) -> Column:
    """ "Per month": the first characters of the date."""
    column, verb = filters.date_column(draft, group)
    if verb is not None:
        verb.role = verb.role or "date"
    if column.kind == "year" and group.text == "year":
        return column
    sql = f'substr(CAST({{t}}."{column.name}" AS TEXT), 1, {_PERIODS[group.text]})'
    return replace(column, name=f"{group.text} of {column.name}", kind="text", expression=sql)


def _claim_functions(draft: Draft) -> list[Link]:
    """Set the aggregate; return the words that ask, after which the target follows."""
    functions = draft.free(*AGGREGATES)
    for one in functions:
        name = next(name for name in AGGREGATES if name in one.operators)
        if not draft.function:
            draft.function = name
        elif draft.function == "sum" and name == "count":  # "the total number of"
            draft.function = "count"
        elif draft.function in ("share", "difference") or name in ("count", "sum"):
            draft.inner = name  # "the average number of pages"
        else:
            raise NotUnderstood(f"I can't combine {draft.function} and {name}.")
        one.role = "function"
    asking = [
        one for one in draft.links if one.operators & {"which", "who", "when", "where", "how"}
    ]
    asking = [one for one in asking if not one.role and not one.operators & {"since", "until"}]
    for one in asking:
        one.role = "asking"
    return functions or asking


def _resolve_target(
    draft: Draft, asking: list[Link], order: Order | None, group: Link | None
) -> None:
    """Find the subject, and what of it is asked for."""
    items = [one for one in draft.links if draft.is_item(one) and not draft.is_adjective(one)]
    items = [
        o for o in items if o.tables or any(c.kind not in ("flag", "date") for _, c in o.columns)
    ]
    start = asking[0] if asking else None
    kind = next((k for k in ("who", "when", "where", "how") if start and k in start.operators), "")
    later = [one for one in items if not start or one.start >= start.end]
    target = next(iter(later or items), None)
    first = draft.next(start) if start else next(iter(draft.links), None)
    if (
        kind == "who"
        and target
        and draft.next(start) is target
        and target.columns
        and not target.tables
    ):
        if draft.schema.reference(target.columns[0][1]):  # "who is the manager of"
            return _select(draft, draft.column(target), target)
    if kind or (
        draft.function == "count"
        and first
        and first.kind == "value"
        and not draft.is_adjective(first)
    ):
        if not (kind == "who" and target and target.table and draft.next(start) is target):
            return _resolve_without_target(draft, kind, order, first)
    if draft.function == "much" and target and not draft.numeric(target):
        target = next((one for one in items if draft.numeric(one)), target)
    if target is None or (order and order.argument and group and draft.numeric(order.argument)):
        return _resolve_without_target(draft, kind, order, first)
    target.role = "target"
    numeric = draft.function in ("sum", "avg", "min", "max", "much") and draft.numeric(target)
    best = target.columns[0][0] if target.columns else 0
    if target.table is not None and not numeric and target.tables[0][0] >= best:
        after = draft.next(target)
        draft.subject = target.table
        if after is None or not _qualifies(draft, target.table, after):
            return _ask_rows(draft, target, group)
        after.role, target = "target", after
    _ask_columns(draft, target)


def _qualifies(draft: Draft, table: Table, after: Link) -> bool:
    """Whether a table only says whose column is meant: "customer email", "invoice amount"."""
    columns = [column for _, column in after.columns if column.table == table.name]
    direct = after.start == draft.links[draft.links.index(after) - 1].end
    plain = draft.is_item(after) and not after.tables and not after.values and bool(columns)
    numeric = draft.function in ("", "count", "share") or draft.numeric(after)
    timed = {column.kind for column in columns} & {"flag", "date", "year"}
    return direct and plain and numeric and not timed


def _ask_rows(draft: Draft, target: Link, group: Link | None) -> None:
    sold = [
        (one, c)
        for one in draft.links
        if draft.is_item(one)
        for _, c in one.columns
        if draft.is_number(c) and {w.stem for w in c.words} & _QUANTITY and one.text == "sell"
    ]
    if draft.function in ("", "count") and sold and (draft.function or group):
        sold[0][0].role = "function"
        draft.measure = Measure("sum", draft.table(sold[0][1]), sold[0][1])
    elif draft.function in ("count", "share", "difference") or (group and not draft.function):
        draft.measure = Measure("count", draft.subject)
    elif draft.function and draft.inner == "count":
        raise NotUnderstood(f"I can't compute the {draft.function} of a number of rows.")
    elif draft.function:
        _measure(draft, _number_of(draft, draft.subject))


def _number_of(draft: Draft, table: Table) -> Column:
    """The one number that a table is about: the amount of a fine."""
    numbers = [column for column in table.columns if draft.is_number(column)]
    numbers = [column for column in numbers if column.expression] or numbers
    summed = [c for c in numbers if {w.stem for w in c.words} & _SUMMED] or numbers
    if len(summed) != 1:
        raise NotUnderstood(f"I don't know which number of {table.name} you mean.")
    return summed[0]


def _ask_columns(draft: Draft, target: Link) -> None:
    texts = any(column.kind == "text" for _, column in target.columns)
    number = draft.function in ("sum", "avg", "min", "max", "much") or (
        draft.function == "count" and draft.numeric(target) and not texts
    )
    column = draft.column(target, *(["number"] if number else []))
    draft.subject = draft.table(column)
    if not draft.function and draft.is_number(column) and _TOTALS & {*target.text.split()}:
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
    table, summed = draft.table(column), {w.stem for w in column.words} & _SUMMED
    draft.subject = table
    if function == "much" and not summed and not column.expression:
        draft.select, draft.function = (column,), ""
    elif draft.is_number(column):
        draft.measure = Measure(
            "sum" if function in ("much", "count", "share", "difference") else function,
            table,
            column,
        )
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
        raise NotUnderstood("I don't know which table the question is about.")
    draft.subject = tables[0]
    if kind == "when":
        dates = [
            o for o in links if draft.is_item(o) and any(c.kind == "date" for _, c in o.columns)
        ]
        column = draft.column(dates[0], "date") if dates else draft.date_of(draft.subject)
        _select(draft, column, dates[0] if dates else None)
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


def _resolve_order(draft: Draft, order: Order | None) -> None:
    """Order rows by a column, or groups by a measure."""
    if order is None or order.limit == 0:
        return
    draft.descending, draft.limit = order.descending, order.limit
    if draft.group is not None and draft.measure is not None and order.argument is None:
        return
    value = _order_value(draft, order)
    if isinstance(value, Measure):
        names_rows = not draft.select or draft.schema.reference(draft.select[0])
        draft.group = draft.group or (draft.subject if names_rows else draft.select[0])
        draft.measure, draft.select = value, ()
    elif draft.measure is not None or draft.group is not None:
        raise NotUnderstood(f"I don't know what {order.at.text!r} refers to.")
    else:
        draft.order = value


def _order_value(draft: Draft, order: Order) -> Measure | Column:
    argument, function = order.argument, order.function
    if argument is None and order.hint:
        column = draft.hinted(order.hint, draft.subject)
        near = [o for o in (draft.before(order.at), draft.next(order.at)) if draft.is_item(o)]
        for one in near if order.hint == "date" else ():  # "hired first"
            if one and any(c.kind in ("date", "year") for _, c in one.columns):
                column, one.role = draft.column(one, "date", "year"), "order"
        if column is not None:
            return column
    if argument is None and draft.select and not order.hint:
        return Measure("count", draft.table(draft.select[0]))
    if argument is None and not order.hint and order.at.text in ("highest", "lowest"):
        return _number_of(draft, draft.subject)
    if argument is None:
        raise NotUnderstood(f"I don't know what {order.at.text!r} refers to.")
    if function == "count" or (not draft.numeric(argument) and not (function and argument.table)):
        if argument.table is not None:
            return Measure("count", argument.table)
        counted = draft.column(argument)
        return Measure("count", draft.table(counted), counted)
    if draft.numeric(argument) or argument.table is None:
        column = draft.column(argument, "number")
    else:
        column = _number_of(draft, argument.table)
    rows = draft.above(draft.subject, draft.table(column))
    grouped = bool(draft.select) and draft.select[0] not in draft.subject.label
    if rows and not function and not grouped:
        return column
    summed = (
        order.at.text in ("most", "least", "top", "fewest")
        or bool(column.expression or _TOTALS & {*argument.text.split()})
        or bool(order.hint and _is_summed(column))
    )
    extreme = "max" if order.descending else "min"
    name: Any = {"much": "sum", "": "sum" if summed else extreme}.get(function, function)
    return Measure(name, draft.table(column), column)


def _is_summed(column: Column) -> bool:
    return bool({w.stem for w in column.words} & _SUMMED or column.expression)


def _check(draft: Draft) -> None:
    """Raise for a link without a role, and for a word of content that is linked to nothing."""
    for one in draft.links:
        if one.unit and not one.role and draft.words[one.start - 1].text == "in":
            column = draft.measure.column if draft.measure else None
            column = column or (draft.select or (None,))[0]
            if column is not None and filters.in_unit(column, one.unit):
                continue
        loose = {"before", "after", "between"} & one.operators or one.text in ("since", "until")
        if not one.role and (loose or not one.operators or not one.operators <= _HARMLESS):
            raise NotUnderstood(f"I don't know how to use {one.text!r} here.")
    linked = {i for one in draft.links for i in range(one.start, one.end)}
    for position, word_ in enumerate(draft.words):
        empty = position in linked or word_.text in ignored() or word_.text in (",", ";")
        if not empty and not _is_verb(draft, position):
            raise NotUnderstood(f"I don't know what {word_.text!r} refers to.")


def _is_verb(draft: Draft, position: int) -> bool:
    """A verb that only says how two tables are related: "books WRITTEN by Tolkien"."""
    text = draft.words[position].text
    following = draft.words[position + 1].text if position + 1 < len(draft.words) else ""
    object_after = any(o.start > position and o.values for o in draft.links)
    inflected = text.endswith(("ed", "ing", "en", "s"))
    related = following in _LINKING and object_after
    ranked = any(o.role == "order" and o.start in (position + 1, position + 2) for o in draft.links)
    return text in ignored("events") or (inflected and (related or ranked))


def _finish(draft: Draft) -> LogicalForm:
    """Put the filters in their place: around, within a percentage, or on a side of a difference."""
    placed = filters.nested(draft)
    if draft.group is not None and draft.measure is None:
        raise NotUnderstood("I don't know what to compute per group.")
    form = LogicalForm(
        draft.subject,
        draft.select,
        draft.measure,
        tuple(one for _, one in placed),
        draft.group,
        draft.via,
        draft.order,
        draft.descending,
        draft.limit,
    )
    if draft.function == "difference":
        return _sides(form, list(form.filters))
    if draft.function != "share":
        return form
    verb = next((i for i, w in enumerate(draft.words) if w.text in _AUXILIARIES and i > 2), 0)
    part = tuple(one for at, one in placed if at > verb) or form.filters
    if not part:
        raise NotUnderstood("I don't know which part you mean.")
    return replace(form, share=part, filters=tuple(o for o in form.filters if o not in part))


def _sides(form: LogicalForm, placed: list[Filter]) -> LogicalForm:
    """The two filters on one column are the sides of a difference."""
    split = [
        replace(one, values=(value,))
        for one in placed
        if one.operator == "="
        for value in one.values
    ]
    split += [one for one in placed if one.operator != "="]
    for first in split:
        sides = [one for one in split if one.column == first.column and first.column]
        if len(sides) == 2:
            rest = tuple(one for one in split if one not in sides)
            return replace(form, share=(sides[0],), minus=(sides[1],), filters=rest)
    raise NotUnderstood("I don't know which two things to compare.")
