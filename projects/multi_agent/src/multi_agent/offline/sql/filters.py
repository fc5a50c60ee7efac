"""Turn values, numbers and relations of a question into filters."""

from __future__ import annotations

from dataclasses import replace

from multi_agent.data.schema import ForeignKey
from multi_agent.offline.sql.comparisons import converted
from multi_agent.offline.sql.draft import Draft, NotUnderstood
from multi_agent.offline.sql.link import Link
from multi_agent.offline.sql.logical_form import Filter
from multi_agent.offline.sql.schema import Column, Table
from multi_agent.offline.sql.value_index import Value
from multi_agent.offline.sql.words import UNITS, ignored


def resolve_values(draft: Draft) -> None:
    """Turn values into filters; "from Germany or France" is one."""
    previous: tuple[Link, Filter] | None = None
    for one in draft.links:
        _read_as_relation(draft, one)
        if one.role or not one.values or _is_rather_name(one) or draft.own_flag(one):
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


def _read_as_relation(draft: Draft, one: Link) -> None:
    """ "Have never booked": without bookings, not bookings of another status."""
    before, stem = draft.before(one), draft.words[one.start].stem
    tables = [draft.table(value.column) for value in one.values]
    named = [table for table in tables if table.words[-1].stem.startswith(stem)]
    if before and before.text == "never" and named:
        one.tables, one.columns, one.values = [(1.0, named[0])], [], []


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
    if len({value.column.table for value in best}) == 1 and len({v.value for v in best}) == 1:
        best = best[:1]  # a city and a county of one name: the first column, the narrower one
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
    paths = draft.schema.paths(draft.starts[0], table)
    if len(paths) < 2:
        return None
    named = {t.name for o in draft.links for _, t in o.tables[:1]}
    scored = []
    for path in paths:
        column = draft.schema.column(path[0])
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


def resolve_numbers(draft: Draft) -> None:
    """ "A rating of 5", "5 stars", "two bedrooms", "order 17"."""
    for one in draft.links:
        if one.role or one.number is None:
            continue
        near = next((o for o in draft.items_before(one) if draft.gap(o, one) == 0), None)
        number = int(one.number) if one.number == int(one.number) else one.number
        after = draft.next(one)
        unit = after if after and after.unit and after.start == one.end else None
        if unit and not unit.role:  # "the 50 litre keg"
            column, near, unit.role = _column_in(draft, unit.unit), one, "value"
            number = converted(number, unit.unit, column)
        elif near and near.role != "target" and draft.numeric(near):
            column = draft.column(near, "number")
        elif after and after.start == one.end and not after.role and draft.numeric(after):
            column, near = draft.column(after, "number"), after  # "with two bedrooms"
        elif near and near.table and near.table.key and near.end == one.start:
            column = near.table.key
        else:
            raise NotUnderstood(f"I don't know what {one.text!r} refers to.")
        near.role, one.role = near.role or "value", "value"
        new = Filter(draft.table(column), column, "=", (number,), draft.negation(near))
        draft.filters.append((one.start, new))


def _column_in(draft: Draft, unit: str) -> Column:
    """The column with a unit, of the rows asked for or of those they belong to."""
    tables = [
        t for t in draft.schema.tables if any(draft.above(start, t) for start in draft.starts)
    ]
    numbers = [c for t in tables for c in t.columns if draft.is_number(c) and c.unit]
    same = [c for c in numbers if UNITS[c.unit][0] == UNITS[unit][0]]
    if len(same) != 1 or UNITS[unit][0] == "money":
        raise NotUnderstood(f"I don't know what the number of {unit} refers to.")
    return same[0]


def resolve_relations(draft: Draft) -> None:
    """Flags, dates that are set or not, and tables that are only named: "customers with orders"."""
    for one in draft.links:
        if one.role or not (one.tables or one.columns):
            continue
        best = one.columns[0][0] if one.columns else 0
        denied = draft.negation(one) > 0
        flags = [c for score, c in one.columns if score == best and _is_set(draft, c, denied)]
        own = [c for c in flags if c.table in {table.name for table in draft.starts}]
        column = next(iter(own or flags), None)
        if one.text in ("time", "date", "day"):  # "on time"
            continue
        if column is not None and (not one.tables or one.tables[0][0] < best):
            one.role = "value"
            _add_flag(draft, one, column)
        elif one.table is not None:
            _add_relation(draft, one, one.table)
        elif any(column in _used(draft) for _, column in one.columns) or (
            best < 1 and one.text in ignored("events")
        ):
            one.role = "repeated"


def _is_set(draft: Draft, column: Column, denied: bool) -> bool:
    """Whether a column says that something is so or has happened, "active", "returned", or that it
    is there: customers "without a phone number".
    """
    absent = denied and column.nullable and not column.key
    return absent or column.kind in ("flag", "date") or draft.schema.reference(column) is not None


def _add_flag(draft: Draft, one: Link, column: Column) -> None:
    negation = draft.negation(one)
    if column.kind == "flag":
        new = Filter(draft.table(column), column, "=", (column.truth[bool(negation)],))
    elif column.nullable:
        new = Filter(draft.table(column), column, "empty", (), 0 if negation else one.start + 1000)
    elif negation:
        new = Filter(draft.table(column), negation=negation)
    elif draft.related(draft.table(column)):
        return
    else:
        new = Filter(draft.table(column))
    draft.filters.append((one.start, new))


def _add_relation(draft: Draft, one: Link, table: Table) -> None:
    one.role = "relation"
    negation = draft.negation(one)
    above = any(draft.above(start, table) for start in draft.starts)
    used = {f.table.name for _, f in draft.filters} | {draft.subject.name}
    used |= {f.measure.table.name for _, f in draft.filters if f.measure}
    covered = any(f.negation == negation for _, f in draft.filters)
    if not (above and covered) if negation else not (above or table.name in used):
        draft.filters.append((one.start, Filter(table, negation=negation)))


def _used(draft: Draft) -> set[Column | None]:
    measure = draft.measure.column if draft.measure else None
    group = draft.group if isinstance(draft.group, Column) else None
    roles = [draft.schema.column(one.via) for _, one in draft.filters if one.via]
    filtered = [one.column for _, one in draft.filters]
    return {*filtered, *draft.select, measure, group, draft.order, *roles}


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
