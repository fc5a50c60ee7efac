"""Comparisons with numbers: "over 50 euros", "more than 3 orders", "between 10 and 20"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from multi_agent.offline.sql.draft import Draft, NotUnderstood
from multi_agent.offline.sql.link import Link
from multi_agent.offline.sql.logical_form import Filter, Measure
from multi_agent.offline.sql.order import count_of
from multi_agent.offline.sql.schema import Column
from multi_agent.offline.sql.words import UNITS, word

_COMPARISONS = {"more": ">", "least": ">=", "less": "<", "most": "<=", "equal": "="}
_FUNCTIONS = ("count", "sum", "avg", "min", "max", "much")
_MONEY = {word(name).stem for name in "price cost amount total fee salary value budget".split()}


@dataclass
class Comparison:
    """ "More than 50 euros", with the phrase it is about, if one is next to it."""

    operator: str
    values: list[float]
    unit: str
    hint: str
    argument: Link | None
    function: str
    at: Link


def claim_comparisons(draft: Draft) -> list[Comparison]:
    """The comparisons of a question."""
    return [
        comparison
        for one in draft.free(*_COMPARISONS, "between", "comparatives")
        if (comparison := _claim(draft, one))
    ]


def _claim(draft: Draft, one: Link) -> Comparison | None:
    numbers = _numbers(draft, one)
    direction, _, hint = one.hint.partition(" ")
    if direction == "zero":
        one.role = "comparison"
        return Comparison("=", [0], "", hint, None, "", one)
    if not numbers:
        return None
    last, before = numbers[-1], _argument_before(draft, one)
    unit = next((o for o in (draft.next(last), draft.before(numbers[0])) if o and o.unit), None)
    after = draft.next(unit if unit and unit.start > last.start else last)
    end = max(last.end, unit.end if unit else 0)
    for other in (after, draft.next(after)):  # "3 different products", "10 in stock"
        if other and other.start == end and other.operators & {"distinct", "within"}:
            after, end = draft.next(other), other.end
    while after and after.start == end:
        if "not" not in after.operators and not draft.is_adjective(after):
            break
        end, after = after.end, draft.next(after)  # "one DAMAGED copy"
    times = draft.words[last.end].text if last.end < len(draft.words) else ""
    if times in ("time", "times") or last.text in ("once", "twice"):
        items = draft.items_before(one)
        before = next((o for o in items if o.table and draft.gap(o, one) == 0), None)
        if before is None:
            raise NotUnderstood(f"I don't know what happened {last.text} {times}.")
        for other in draft.links:
            if times and other.start == last.end:
                other.role = "comparison"
        after, unit = None, None
    close = after is not None and after.start == end and draft.is_item(after)
    argument = after if close and after and (after.table or draft.numeric(after)) else before
    size = max(number.number or 0 for number in numbers)
    if (
        argument is not None
        and argument.table
        and draft.counts_rows(argument)
        and size > argument.table.rows
    ):
        argument = None  # "fewer than 3000 people" does not count rows
    if hint and argument is before:
        argument = None
    operator = _COMPARISONS[
        direction or next((o for o in _COMPARISONS if o in one.operators), "more")
    ]
    function = draft.before(argument) if argument else None
    name = next((f for f in _FUNCTIONS if function and f in function.operators), "")
    opening = function is draft.links[0] or (
        function and draft.words[0].text in ("what", "which") and function.start < 4
    )
    if function is None or not name or opening:
        name = ""
    else:
        function.role = "comparison"
    for used in (one, *numbers, unit, argument):
        if used is not None:
            used.role = "comparison"
    values = [number.number for number in numbers if number.number is not None]
    operator = "between" if "between" in one.operators else operator
    return Comparison(operator, values, unit.unit if unit else "", hint, argument, name, one)


def _numbers(draft: Draft, one: Link) -> list[Link]:
    """The number, or two after "between"; none if they are dates."""
    if one.text.startswith("or "):
        before = draft.before(one)
        return [before] if before and before.number is not None else []
    first = draft.next(one)
    if first is not None and first.unit:
        first = draft.next(first)
    if first is None or first.number is None:
        return []
    unit = draft.next(first)
    has_unit = unit is not None and bool(unit.unit)
    if first.dates and not has_unit and not _argument_before(draft, one):
        return []
    if "between" not in one.operators:
        return [first]
    second = draft.next(unit if has_unit else first)
    return [first, second] if second and second.number is not None else []


def _argument_before(draft: Draft, one: Link) -> Link | None:
    for other in draft.items_before(one)[:2]:
        if draft.numeric(other) and not other.role and draft.gap(other, one) <= 1:
            return other
    return None


def add_comparisons(draft: Draft, comparisons: list[Comparison]) -> None:
    """Add the comparisons to the filters."""
    for one in comparisons:
        draft.filters += [(one.at.start, new) for new in _compared(draft, one)]


def _compared(draft: Draft, one: Comparison) -> list[Filter]:
    argument = one.argument
    entity = (
        draft.subject if draft.group is None or isinstance(draft.group, Column) else draft.group
    )
    values = tuple(int(v) if v == int(v) else v for v in one.values)
    column = draft.select[0] if draft.select else draft.measure and draft.measure.column
    of_rows = draft.counts_rows(argument)
    if argument and of_rows and argument.table == entity and column and column.kind == "text":
        counted = count_of(draft, argument, entity)  # "borrowers with more than 20 loans"
        return [Filter(entity, column, one.operator, values, measure=counted)]
    if argument and argument.table and of_rows and argument.table != entity:
        if one.operator == "between":
            raise NotUnderstood("I can't compare a count with a range.")
        measure = count_of(draft, argument, argument.table)
        return [Filter(entity, None, one.operator, values, measure=measure)]
    column = _column_of(draft, one)
    table = draft.table(column)
    if not draft.above(entity, table) and (one.function or column.expression):
        function: Any = one.function if one.function in ("avg", "min", "max") else "sum"
        return [
            Filter(entity, None, one.operator, values, measure=Measure(function, table, column))
        ]
    numbers = tuple(converted(value, one.unit, column) for value in values)
    if one.operator == "between":
        return [
            Filter(table, column, op, (n,)) for op, n in zip((">=", "<="), numbers, strict=True)
        ]
    return [Filter(table, column, one.operator, numbers, draft.negation(one.at))]


def _column_of(draft: Draft, one: Comparison) -> Column:
    """The column next to the comparison, of its adjective, or the only one with its unit."""
    if one.argument and draft.numeric(one.argument):
        return draft.column(one.argument, "number")
    table = one.argument.table if one.argument and one.argument.table else draft.subject
    kind = UNITS[one.unit][0] if one.unit else ""
    numbers = [c for c in table.columns if draft.is_number(c)]
    same = [c for c in numbers if c.unit and UNITS[c.unit][0] == kind]
    column = draft.hinted(one.hint, draft.subject) if len(same) != 1 else None
    if column is not None and column.kind == "number":
        return column
    if kind == "money" and not same:
        same = [c for c in numbers if _MONEY & {w.stem for w in c.words}]
    if len(same) != 1:
        raise NotUnderstood(f"I don't know which number {one.at.text!r} refers to.")
    return same[0]


def converted(value: float, unit: str, column: Column) -> float:
    """A number of the question in the unit of the column: 50 euros are 5000 cents."""
    if not column.unit or (not unit and UNITS[column.unit][0] != "money"):
        return value
    kind, size = UNITS[column.unit]
    own_kind, own_size = UNITS[unit] if unit else (kind, 1.0)
    if kind != own_kind:
        raise NotUnderstood(f"{column} is not in {unit}.")
    result = value * own_size / size
    return int(result) if result == int(result) else result


def in_unit(column: Column, unit: str) -> bool:
    """Whether the answer comes in a unit without conversion; cents are shown as whole money."""
    kind, size = UNITS[unit]
    if kind == "money":
        money = bool(_MONEY & {w.stem for w in column.words}) or column.unit in UNITS
        return size == 1 and money
    return bool(column.unit) and UNITS[column.unit] == (kind, size)
