"""What was used, by key, model or day: counts, tokens, cost and latency, summed in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, Float, Integer, Select, and_, case, cast, func, or_, select

from llm_service.store import tables
from llm_service.store.database import Database
from seedbed.errors import BadInput


def report(
    database: Database,
    by: Literal["key", "model", "day"],
    since: datetime | None = None,
    *,
    percentiles: bool = True,
) -> list[dict[str, Any]]:
    """A row for each key, model or day since `since` (UTC; None: all), the most expensive first
    (days in order).

    Each: `by` (and "key_id" where that is "key"), "n", "ok", "cancelled", "errors",
    "prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd", "p50_seconds",
    "p95_seconds" (of answers that were ok; None without any). Percentiles are exact (nearest
    rank), found by the database in sorted windows: no row comes here, but it reads all of
    them, some seconds for millions. Give `since` where this is asked often, or leave them out
    with `percentiles=False`.
    """
    column = tables.usage.c
    if by not in ("key", "model", "day"):
        raise BadInput(f"Cannot group by {by!r}.", hint='Use "key", "model" or "day".')
    # A name may belong to several keys in turn; an error may come before a model is chosen.
    used = case((column.model_used == "", column.model), else_=column.model_used)
    group = {"key": column.key_id, "model": used, "day": column.day}[by].label("grouped")
    where = [column.at >= since] if since is not None else []
    with database.reading() as connection:
        rows = [dict(row) for row in connection.execute(_sums(group, where)).mappings()]
        ranked = connection.execute(_percentiles(group, where)).all() if percentiles else None
    if ranked is not None:
        found = {grouped: {"p50_seconds": p50, "p95_seconds": p95} for grouped, p50, p95 in ranked}
        for row in rows:
            row |= found.get(row["grouped"], {"p50_seconds": None, "p95_seconds": None})
    rows.sort(key=lambda row: row["grouped"] if by == "day" else -row["cost_usd"])
    return [_named(row, by) for row in rows]


def _sums(group: Any, where: list[Any]) -> Select[Any]:
    column = tables.usage.c

    def count(condition: Any) -> Any:
        return cast(func.sum(case((condition, 1), else_=0)), Integer)

    def total(name: str) -> Any:
        return cast(func.sum(column[name]), BigInteger).label(name)

    ok, cancelled = column.outcome == "ok", column.outcome == "cancelled"
    return (
        select(group, func.max(column.key_name).label("name"), func.count().label("n"))
        .add_columns(
            count(ok).label("ok"),
            count(cancelled).label("cancelled"),
            count(~or_(ok, cancelled)).label("errors"),
            total("prompt_tokens"),
            total("completion_tokens"),
            total("cached_tokens"),
            func.sum(column.cost_usd).label("cost_usd"),
        )
        .where(*where)
        .group_by(group)
    )


def _percentiles(group: Any, where: list[Any]) -> Select[Any]:
    column = tables.usage.c
    ranked = (
        select(group, column.seconds)
        .add_columns(
            func.row_number().over(partition_by=group, order_by=column.seconds).label("rank"),
            func.count().over(partition_by=group).label("n"),
        )
        .where(column.outcome == "ok", *where)
        .subquery()
    ).c

    def at(percent: int) -> Any:
        # The smallest rank with rank / n ≥ percent / 100, in whole numbers.
        here = and_(
            ranked.rank * 100 >= ranked.n * percent, (ranked.rank - 1) * 100 < ranked.n * percent
        )
        return cast(func.max(case((here, ranked.seconds))), Float)

    return select(ranked.grouped, at(50), at(95)).group_by(ranked.grouped)


def _named(row: dict[str, Any], by: str) -> dict[str, Any]:
    grouped, name = row.pop("grouped"), row.pop("name")
    head = {"key": name, "key_id": grouped} if by == "key" else {by: grouped}
    return head | row
