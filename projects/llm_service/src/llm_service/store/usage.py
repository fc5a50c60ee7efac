"""Usage by key, team, user, model or day: counts, tokens, cost and latency."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import BigInteger, Float, Integer, Select, and_, case, cast, func, or_, select

from llm_service.store import tables
from llm_service.store.database import Database
from seedbed.errors import BadInput

By = Literal["key", "team", "user", "model", "day"]


def report(
    database: Database,
    by: By,
    since: datetime | None = None,
    *,
    latency: bool = True,
) -> list[dict[str, Any]]:
    """A row for each key, team, user, model or day, the most expensive first (days in order).

    `since` (UTC) limits it to the requests from then on.

    Each: `by` (and "key_id" where that is "key"), "n", "ok", "cancelled", "errors",
    "prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd", "p50_seconds",
    "p95_seconds" (of answers that were ok; None without any). Percentiles are exact (nearest
    rank), found by the database in sorted windows: no row comes here, but it reads all of
    them, some seconds for millions. Give `since` where this is asked often, or leave them out
    with `latency=False`.
    """
    column = tables.usage.c
    if by not in get_args(By):
        raise BadInput(f"Cannot group by {by!r}.", hint=f"Use {', '.join(get_args(By))}.")
    # A name may belong to several keys in turn; an error may come before a model is chosen.
    used = case((column.model_used == "", column.model), else_=column.model_used)
    columns = {"key": column.key_id, "team": column.team, "user": column.user, "day": column.day}
    group = columns.get(by, used).label("grouped")
    where = [column.at >= since] if since is not None else []
    with database.reading() as connection:
        rows = [dict(row) for row in connection.execute(_sums(group, where)).mappings()]
        ranked = connection.execute(percentiles((group,), where)).all() if latency else None
    if ranked is not None:
        latencies = {
            grouped: {"p50_seconds": p50, "p95_seconds": p95} for grouped, p50, p95 in ranked
        }
        for row in rows:
            row |= latencies.get(row["grouped"], {"p50_seconds": None, "p95_seconds": None})
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


def percentiles(by: Sequence[Any], where: Sequence[Any]) -> Select[Any]:
    """A query for `by`, "p50_seconds" and "p95_seconds" of the successful requests."""
    column = tables.usage.c
    ranked = (
        select(*by, column.seconds)
        .add_columns(
            func.row_number().over(partition_by=by, order_by=column.seconds).label("rank"),
            func.count().over(partition_by=by).label("n"),
        )
        .where(column.outcome == "ok", *where)
        .subquery()
    ).c

    def at(percent: int) -> Any:
        # The smallest rank with rank / n ≥ percent / 100, in whole numbers.
        here = and_(
            ranked.rank * 100 >= ranked.n * percent, (ranked.rank - 1) * 100 < ranked.n * percent
        )
        seconds = cast(func.max(case((here, ranked.seconds))), Float)
        return seconds.label(f"p{percent}_seconds")

    groups = [ranked[column.name] for column in by]
    return select(*groups, at(50), at(95)).group_by(*groups)


def _named(row: dict[str, Any], by: str) -> dict[str, Any]:
    grouped, name = row.pop("grouped"), row.pop("name")
    head = {"key": name, "key_id": grouped} if by == "key" else {by: grouped}
    return head | row
