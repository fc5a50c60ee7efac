"""Dates of a question: the span by the preposition, the column by the verb or noun before."""

from __future__ import annotations

from datetime import date

from multi_agent.offline.sql.draft import Draft, NotUnderstood
from multi_agent.offline.sql.link import Link
from multi_agent.offline.sql.logical_form import Filter
from multi_agent.offline.sql.schema import Column, Table

_POSITIONS = {"within", "since", "until", "before", "after", "between"}
_UNITS = ("day", "days", "long")
_RANGES = (["and"], ["to"], ["until"], ["till"], ["through"])


def claim_duration(draft: Draft) -> None:
    """ "The average number of days between order and delivery" is a column of its own."""
    units = [i for i, w in enumerate(draft.words) if w.text in _UNITS]
    for one in draft.free("between", "since") if units else ():
        start, end = (first := draft.next(one)), draft.next(first)
        pair = start and end and not start.dates and _pair(draft, start, end)
        if start is None or end is None or not pair:
            continue
        dates = (column.sql("{t}") for column in pair)
        sql = draft.schema.days.format(start=next(dates), end=next(dates))
        name = f"days from {pair[0].name} to {pair[1].name}"
        column = Column(pair[0].table, name, "number", "days", expression=f"({sql})")
        start.tables, start.values, start.columns = [], [], [(2.0, column)]
        for other in draft.links:
            asks = {"count", "how", "adjectives"} & other.operators or other.start in units
            asks = asks or other.text in ("pass", "passed", "lie", "elapsed")
            if other in (one, end) or asks:
                other.role = "duration"
        return


def _pair(draft: Draft, one: Link, other: Link) -> tuple[Column, Column] | None:
    """Two dates of one table that two phrases name."""

    def dates(link: Link) -> list[Column]:
        own = [column for _, column in link.columns if column.kind == "date"]
        return own + [d for _, t in link.tables if (d := draft.date_of(t)) and d.kind == "date"]

    pairs = [(a, b) for a in dates(one) for b in dates(other) if a.table == b.table and a != b]
    return pairs[0] if pairs else None


def resolve_dates(draft: Draft) -> None:
    """Turn the dates, and comparisons of one date with another, into filters."""
    for one in draft.free("before", "after"):
        first, second = next(iter(draft.items_before(one)), None), draft.next(one)
        pair = first and second and not second.dates and _pair(draft, first, second)
        if first is None or second is None or not pair:
            continue
        one.role = second.role = "date"
        first.role = first.role or "date"
        operator = ">" if "after" in one.operators else "<"
        new = Filter(draft.table(pair[0]), pair[0], operator, (pair[1],), draft.negation(first))
        draft.filters.append((one.start, new))
    previous = 0  # the end of the date before
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
        last = draft.filters[-1][1] if draft.filters else None
        listed = [w.text for w in draft.words[previous : one.start]] in (["or"], ["and"])
        previous = one.end
        if listed and last and last.operator == "dates" and last.column == column:
            if last.values[1] != days[0]:
                raise NotUnderstood(f"I can't combine {one.text!r} with the date before it.")
            days[0] = last.values[0]
            draft.filters.pop()
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
    if before is not None and operators & _POSITIONS:
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
        own = any(value.column.table == draft.starts[0].name for value in other.values)
        if own and not draft.dated(other):
            continue  # "flights CANCELLED in 2024": the status, not the date of a booking
        start = draft.starts[0]
        table = other.table
        above = table and table not in draft.starts and draft.above(start, table)
        if above and not draft.dated(other) and draft.date_of(start):
            continue  # "repairs of machines in 2024": the date of the repair
        if draft.dated(other):
            named = draft.column(other, "date", "year")
            if not draft.related(draft.table(named)):
                raise NotUnderstood(f"{named} is not about {draft.subject.name}.")
            other.role = other.role or ("" if own else "date")
            return named, other
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
            if draft.above(owner, draft.starts[0]) and (column := _event_date(draft, owner)):
                return column, None
    for table in reversed(draft.starts):
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
