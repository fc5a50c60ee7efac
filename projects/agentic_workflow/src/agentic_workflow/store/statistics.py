"""Figures about cases, computed in the database from indexes alone.

with reading(engine) as connection:
    compute(connection, datetime.now(UTC), days=30).automation_rate
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, func, select

from agentic_workflow.store.case import Value
from agentic_workflow.store.schema import WITH_TOKENS, cases, corrections, events

SAMPLE = 5000  # cases; at 10,000 closed cases, the median is of every second one


class Usage(Value):
    """What was spent on a day or on a case."""

    cases: int
    tokens: int
    cost_usd: float


class Statistics(Value):
    """Figures of the cases closed in the last days, without duplicates."""

    days: int
    closed: int
    automation_rate: float | None  # share closed by the desk alone; None without cases
    corrections: int
    median_seconds: float | None  # from arrival to close
    by_category: dict[str, int]
    by_day: dict[str, int]  # ISO dates in UTC


def usage(
    connection: Connection, received: ColumnElement[bool], spent: ColumnElement[bool]
) -> Usage:
    """The number of cases that were `received`, and the sums of the events that were `spent`."""
    totals = select(func.sum(events.c.tokens), func.sum(events.c.cost_usd))
    tokens, cost = connection.execute(totals.where(WITH_TOKENS, spent)).one()
    count = connection.execute(select(func.count(cases.c.id)).where(received)).scalar_one()
    return Usage(cases=count, tokens=tokens or 0, cost_usd=cost or 0.0)


def counts(connection: Connection, *keys: Column[Any]) -> dict[tuple[str, ...], int]:
    """The number of rows for each combination of the columns; an empty one is ""."""
    rows = connection.execute(select(*keys, func.count()).group_by(*keys)).all()
    return {tuple(key or "" for key in row[:-1]): row[-1] for row in rows}


def draft_seconds(connection: Connection, limit: int = 100) -> list[float]:
    """Times from arrival to the draft, of the latest drafts."""
    times = select(cases.c.received_at, events.c.at).where(events.c.kind == "draft")
    times = times.join(cases, cases.c.id == events.c.case_id).order_by(events.c.number.desc())
    rows = connection.execute(times.limit(limit))
    return [max(0.0, (drafted - received).total_seconds()) for received, drafted in rows]


def compute(connection: Connection, now: datetime, days: int) -> Statistics:
    """Figures of the cases that were closed in the last `days` in UTC, today included."""
    start = now.astimezone(UTC).replace(hour=0, minute=0, second=0) - timedelta(days=days - 1)
    in_time = cases.c.closed_day >= start.date().isoformat()
    # 1. Cases by day, category and who closed them: some thousand rows at most.
    keys = (cases.c.closed_day, cases.c.category, cases.c.closed_by)
    by_day, by_category, by_person = Counter[str](), Counter[str](), Counter[str]()
    counted = select(*keys, func.count()).where(in_time).group_by(*keys)
    for day, category, person, count in connection.execute(counted):
        by_day[day] += count
        by_category[category or ""] += count
        by_person[person] += count
    closed = by_day.total()
    # 2. The median time to close, of a sample where sorting all would take long.
    sample = in_time & (cases.c.number % max(1, closed // SAMPLE) == 0)
    seconds = connection.execute(select(cases.c.open_seconds).where(sample)).scalars().all()
    # 3. Corrections by people.
    corrected = select(func.count()).select_from(corrections).where(corrections.c.at >= start)
    return Statistics(
        days=days,
        closed=closed,
        automation_rate=by_person["desk"] / closed if closed else None,
        corrections=connection.execute(corrected).scalar_one(),
        median_seconds=median(seconds) if seconds else None,
        by_category=dict(by_category.most_common()),
        by_day=dict(sorted(by_day.items())),
    )
