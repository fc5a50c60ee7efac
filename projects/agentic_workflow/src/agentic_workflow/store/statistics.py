"""Figures about cases, computed in the database.

    with reading(engine) as connection:
        compute(connection, datetime.now(UTC), days=30).automation_rate

Called by `Store.statistics` and `Store.counts`. The queries read the index `cases_by_day` alone.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from agentic_workflow.store.records import Statistics
from agentic_workflow.store.schema import cases, corrections


def compute(connection: Connection, now: datetime, days: int) -> Statistics:
    """Figures of the cases that were closed in the last `days` in UTC, today included."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=days - 1)
    in_time = cases.c.closed_day >= start.date().isoformat()
    # 1. Cases by day, category and who closed them: some thousand rows at most.
    keys = (cases.c.closed_day, cases.c.category, cases.c.closed_by)
    rows = connection.execute(select(*keys, func.count()).where(in_time).group_by(*keys)).all()
    by_day, by_category, by_person = Counter[str](), Counter[str](), Counter[str]()
    for day, category, person, count in rows:
        by_day[day] += count
        by_category[category or ""] += count
        by_person[person] += count
    closed = by_day.total()
    # 2. The median time to close.
    seconds = select(cases.c.open_seconds).where(in_time).order_by(cases.c.open_seconds)
    median = connection.execute(seconds.offset(max(closed - 1, 0) // 2).limit(1)).scalar()
    # 3. Corrections by people.
    corrected = select(func.count()).select_from(corrections).where(corrections.c.at >= start)
    return Statistics(
        days=days,
        closed=closed,
        automation_rate=by_person["desk"] / closed if closed else None,
        corrections=connection.execute(corrected).scalar_one(),
        median_seconds=median,
        by_category=dict(by_category.most_common()),
        by_day=dict(sorted(by_day.items())),
    )


def counts(connection: Connection) -> dict[tuple[str, str], int]:
    """Number of cases by status and category; the category is empty before triage."""
    keys = (cases.c.status, cases.c.category)
    rows = connection.execute(select(*keys, func.count()).group_by(*keys)).all()
    return {(status, category or ""): count for status, category, count in rows}
