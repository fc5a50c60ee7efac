"""Turn comparisons, dates, values and relations of a question into filters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from multi_agent.data.draft import Draft, NotUnderstood, ignored
from multi_agent.data.link import Link
from multi_agent.data.logical_form import Filter, Measure
from multi_agent.data.schema import Column, ForeignKey, Table
from multi_agent.data.value_index import Value
from multi_agent.data.words import UNITS, word

_COMPARISONS = {"more": ">", "least": ">=", "less": "<", "most": "<=", "equal": "="}
_FUNCTIONS = ("count", "sum", "avg", "min", "max", "much")
_MONEY = {word(name).stem for name in "price cost amount total fee salary value budget".split()}
_RANGES = (["and"], ["to"], ["until"], ["till"], ["through"])


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
    close = after is not None and after.start == end and draft.is_item(after)
    argument = after if close and after and (after.table or draft.numeric(after)) else before
    size = max(number.number or 0 for number in numbers)
    if (
        argument is not None
        and argument.table
        and not draft.numeric(argument)
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


def resolve(draft: Draft, comparisons: list[Comparison]) -> None:
    """Add all filters to the draft."""
    for comparison in comparisons:
        draft.filters += [(comparison.at.start, one) for one in _compared(draft, comparison)]
    _resolve_dates(draft)
    _resolve_values(draft)
    _resolve_numbers(draft)
    _resolve_relations(draft)


def _compared(draft: Draft, one: Comparison) -> list[Filter]:
    argument = one.argument
    entity = draft.group if isinstance(draft.group, Table) else draft.subject
    values = tuple(int(v) if v == int(v) else v for v in one.values)
    if argument and argument.table and not draft.numeric(argument) and argument.table != entity:
        if one.operator == "between":
            raise NotUnderstood("I can't compare a count with a range.")
        return [
            Filter(entity, None, one.operator, values, measure=Measure("count", argument.table))
        ]
    column = _compared_column(draft, one)
    table = draft.table(column)
    if not draft.above(entity, table) and (one.function or column.expression):
        function: Any = one.function if one.function in ("avg", "min", "max") else "sum"
        return [
            Filter(entity, None, one.operator, values, measure=Measure(function, table, column))
        ]
    numbers = tuple(_converted(value, one.unit, column) for value in values)
    if one.operator == "between":
        return [
            Filter(table, column, op, (n,)) for op, n in zip((">=", "<="), numbers, strict=True)
        ]
    return [Filter(table, column, one.operator, numbers, draft.negation(one.at))]


def _compared_column(draft: Draft, one: Comparison) -> Column:
    """The column next to the comparison, of its adjective, or the only one with its unit."""
    if one.argument and draft.numeric(one.argument):
        return draft.column(one.argument, "number")
    if one.hint and (column := draft.hinted(one.hint, draft.subject)):
        if column.kind == "number":
            return column
    table = one.argument.table if one.argument and one.argument.table else draft.subject
    kind = UNITS[one.unit][0] if one.unit else ""
    numbers = [c for c in table.columns if draft.is_number(c)]
    same = [c for c in numbers if c.unit and UNITS[c.unit][0] == kind]
    if kind == "money" and not same:
        same = [c for c in numbers if _MONEY & {w.stem for w in c.words}]
    if len(same) != 1:
        raise NotUnderstood(f"I don't know which number {one.at.text!r} refers to.")
    return same[0]


def _converted(value: float, unit: str, column: Column) -> float:
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


def _resolve_dates(draft: Draft) -> None:
    for one in [o for o in draft.links if o.dates and not o.role]:
        if one.role:  # the end of a range
            continue
        assert one.dates is not None
        start, end = _span(draft, one)
        column, verb = date_column(draft, one)
        one.role = "date"
        whole = all(day is None or (day.month, day.day) == (1, 1) for day in (start, end))
        if column.kind == "year" and not whole:
            raise NotUnderstood(f"{column} has years only.")
        days = [d and (d.year if column.kind == "year" else d.isoformat()) for d in (start, end)]
        negation = (verb and draft.negation(verb)) or draft.negation(one)
        place = Filter(draft.table(column), column, "dates", tuple(days), negation)
        draft.filters.append((one.start, place))


def _span(draft: Draft, one: Link) -> tuple[date | None, date | None]:
    """First day and the day after the last, by the preposition; claims the end of a range."""
    assert one.dates is not None
    start, end = one.dates
    before = draft.before(one)
    operators = before.operators if before and not before.role else frozenset()
    after = next((o for o in draft.links if o.start >= one.end and o.dates), None)
    ranged = after and [w.text for w in draft.words[one.end : after.start]] in _RANGES
    if before is not None and operators & {
        "within",
        "since",
        "until",
        "before",
        "after",
        "between",
    }:
        before.role = "date"
    if after and after.dates and ranged and operators & {"between", "since"}:
        for other in draft.links:
            if one.end <= other.start and other.end <= after.end:
                other.role = "date"
        return start, after.dates[1]
    if "before" in operators:
        return None, start
    if "after" in operators:
        return end, None
    if "since" in operators and before and before.text != "from":
        return start, None
    return (None, end) if "until" in operators else (start, end)


def date_column(draft: Draft, one: Link) -> tuple[Column, Link | None]:
    """By the nearest verb or noun before that has a date; otherwise the subject's date."""
    before = draft.items_before(one)
    for i, other in enumerate(before):
        if any(c.kind in ("date", "year") for _, c in other.columns):
            column = draft.column(other, "date", "year")
            if not _is_related(draft, draft.table(column)):
                raise NotUnderstood(f"{column} is not about {draft.subject.name}.")
            other.role = other.role or "date"
            return column, other
        for event in [*before[i + 1 : i + 2], other]:  # "BORROWED books in 2024"
            related = event is other or (
                event.table
                and other.table
                and event.table != other.table
                and draft.gap(event, other) == 0
                and draft.schema.base(event.table, other.table)
                and not draft.above(other.table, event.table)
            )
            if related and event.table and (column := draft.date_of(event.table)):
                return column, event
        if other.columns and not other.tables:
            owner = draft.table(other.columns[0][1])
            start = draft.measure.table if draft.measure else draft.subject
            if draft.above(owner, start) and (column := _event_date(draft, owner)):
                return column, None
    near = [draft.subject, *([draft.measure.table] if draft.measure else [])]
    for table in near:
        if column := _event_date(draft, table):
            return column, None
    raise NotUnderstood(f"I don't know which date {one.text!r} refers to.")


def _event_date(draft: Draft, table: Table) -> Column | None:
    """The date of a row, or of the row it belongs to: that of the order for its lines."""
    if column := draft.date_of(table):
        return column
    keys = [key for key in draft.schema.foreign_keys if key.table == table.name]
    dates = [c for key in keys if (c := draft.date_of(draft.schema.table(key.target)))]
    return dates[0] if len(dates) == 1 else None


def _resolve_values(draft: Draft) -> None:
    previous: tuple[Link, Filter] | None = None
    for one in draft.links:
        if one.role or not one.values or _is_rather_name(one):
            continue
        value = _value(draft, one)
        one.role = "value"
        table = draft.table(value.column)
        role = via(draft, table, one)
        new = Filter(table, value.column, "=", (value.value,), draft.negation(one), via=role)
        if previous is not None and replace(previous[1], values=()) == replace(new, values=()):
            between = {w.text for w in draft.words[previous[0].end : one.start]}
            if between <= {"and", "or", "nor", ",", "the", "in", "from"}:
                draft.filters = [pair for pair in draft.filters if pair[1] is not previous[1]]
                new = replace(new, values=(*previous[1].values, value.value))
        previous = (one, new)
        draft.filters.append((one.start, new))


def _is_rather_name(one: Link) -> bool:
    """Whether the phrase is the name of a table or a column that happens to be a value too."""
    exact = any(score == 1 for score, _ in [*one.tables, *one.columns])
    return exact and not any(value.enumeration and value.whole for value in one.values)


def _value(draft: Draft, one: Link) -> Value:
    """The most likely value: enumerations and columns named next to it first. Raises at a tie."""
    beside = [o for o in (draft.before(one), draft.next(one)) if o is not None and not o.values]
    tables = {table.name for o in beside for _, table in o.tables[:1]}
    columns = {column for o in beside for _, column in o.columns}
    mentioned = draft.mentioned()
    scored = []
    for value in one.values:
        table = draft.table(value.column)
        score = 1.0 * value.whole + 0.3 * value.enumeration + 0.5 * (table.name in mentioned)
        score += 1.5 * (value.column in columns) + 1.0 * (table.name in tables)
        score += 0.6 * (table == draft.subject) + 0.3 * draft.above(draft.subject, table)
        scored.append((score + 0.2 * (value.column in table.label), value))
    top = max(score for score, _ in scored)
    best = [value for score, value in scored if score > top - 0.05]
    if len(best) > 1:
        options = [f"{value.column} is {value.value}" for value in best[:6]]
        problem = f"{one.text!r} can mean several things."
        raise NotUnderstood(problem, f"What is meant by {one.text!r}?", options)
    for other in beside:
        if not other.role and any(column == best[0].column for _, column in other.columns):
            other.role = "value"
    return best[0]


def via(draft: Draft, table: Table, one: Link) -> ForeignKey | None:
    """Which of several references is meant: "HOME games of the Comets", "flights FROM Berlin"."""
    start = draft.measure.table if draft.measure else draft.subject
    paths = draft.schema.paths(start, table)
    if len(paths) < 2:
        return None
    named = {t.name for o in draft.links for _, t in o.tables[:1]}
    scored = []
    for path in paths:
        source = draft.schema.table(path[0].table)
        column = next(c for c in source.columns if c.name == path[0].column)
        own = [w for w in column.words if all(w.stem != t.stem for t in table.words)]
        near = draft.words[max(0, one.start - 2) : one.start]
        score = 2.0 * any(w.likeness(o) for w in near for o in own)
        score += any(w.likeness(o) == 1 for w in draft.words for o in own)
        score += any(key.target in named for key in path[:-1])
        scored.append((score, str(column), path[0]))
    scored.sort(key=lambda entry: -entry[0])
    if scored[0][0] == scored[1][0]:
        options = [text for _, text, _ in scored]
        problem = f"{one.text!r} can be {' or '.join(options)}."
        raise NotUnderstood(problem, f"Which {one.text!r} is meant?", options)
    return scored[0][2]


def _resolve_numbers(draft: Draft) -> None:
    """ "A rating of 5", "5 stars", "order 17"."""
    for one in draft.links:
        if one.role or one.number is None:
            continue
        near = next((o for o in draft.items_before(one) if draft.gap(o, one) == 0), None)
        number = int(one.number) if one.number == int(one.number) else one.number
        if near and near.role != "target" and draft.numeric(near):
            column = draft.column(near, "number")
        elif (
            near
            and near.table
            and near.table.key
            and draft.gap(near, one) == 0
            and near.end == one.start
        ):
            column = near.table.key
        else:
            raise NotUnderstood(f"I don't know what {one.text!r} refers to.")
        near.role, one.role = near.role or "value", "value"
        new = Filter(draft.table(column), column, "=", (number,), draft.negation(near))
        draft.filters.append((one.start, new))


def _resolve_relations(draft: Draft) -> None:
    """Flags, dates that are set or not, and tables that are only named: "customers with orders"."""
    for one in draft.links:
        if one.role or not (one.tables or one.columns):
            continue
        best = one.columns[0][0] if one.columns else 0
        column = next((c for s, c in one.columns if s == best and _is_set(draft, c)), None)
        if column is not None and (not one.tables or one.tables[0][0] < best):
            one.role = "value"
            _add_flag(draft, one, column)
        elif one.table is not None:
            _add_relation(draft, one, one.table)
        elif any(column in _used(draft) for _, column in one.columns) or (
            best < 1 and one.text in ignored("events")
        ):
            one.role = "repeated"


def _is_related(draft: Draft, table: Table) -> bool:
    """Whether rows of a table are directly above or below those asked for."""
    starts = [draft.subject, *([draft.measure.table] if draft.measure else [])]
    return any(draft.above(start, table) or draft.above(table, start) for start in starts)


def _is_set(draft: Draft, column: Column) -> bool:
    """Whether a column says that something is so or has happened: "active", "returned"."""
    return column.kind in ("flag", "date") or draft.schema.reference(column) is not None


def _add_flag(draft: Draft, one: Link, column: Column) -> None:
    negation = draft.negation(one)
    if column.kind == "flag":
        new = Filter(draft.table(column), column, "=", (column.truth[bool(negation)],))
    elif column.nullable:
        new = Filter(draft.table(column), column, "empty", (), 0 if negation else one.start + 1000)
    elif negation:
        new = Filter(draft.table(column), negation=negation)
    elif _is_related(draft, draft.table(column)):
        return
    else:
        new = Filter(draft.table(column))
    draft.filters.append((one.start, new))


def _add_relation(draft: Draft, one: Link, table: Table) -> None:
    one.role = "relation"
    negation = draft.negation(one)
    base = draft.measure.table if draft.measure else draft.subject
    above = draft.above(base, table) or draft.above(draft.subject, table)
    used = {f.table.name for _, f in draft.filters} | {draft.subject.name}
    used |= {f.measure.table.name for _, f in draft.filters if f.measure}
    covered = any(f.negation == negation for _, f in draft.filters)
    if (negation and not (above and covered)) or (
        not negation and not above and table.name not in used
    ):
        draft.filters.append((one.start, Filter(table, negation=negation)))


def _used(draft: Draft) -> set[Column | None]:
    measure = draft.measure.column if draft.measure else None
    group = draft.group if isinstance(draft.group, Column) else None
    roles = {
        column
        for _, one in draft.filters
        if one.via
        for column in draft.schema.table(one.via.table).columns
        if column.name == one.via.column
    }
    return (
        {o.column for _, o in draft.filters} | {*draft.select, measure, group, draft.order} | roles
    )


def nested(draft: Draft) -> list[tuple[int, Filter]]:
    """The filters; those about the rows that a comparison counts are put inside it.

    "Customers with more than 3 orders in 2024": the date is about the orders.
    """
    placed = draft.filters
    for pair in [pair for pair in placed if pair[1].measure]:
        at, outer = pair
        assert outer.measure is not None
        inside = [
            other
            for other in placed
            if other[1].measure is None
            and not draft.above(outer.table, other[1].table)
            and draft.above(outer.measure.table, other[1].table)
        ]
        inner = tuple(one for _, one in inside)
        placed = [
            (at, replace(outer, inner=inner)) if p is pair else p for p in placed if p not in inside
        ]
    return placed
