"""Usage by key, team, user, model or day: counts, tokens, cost and latency."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import BigInteger, Float, Integer, Select, and_, case, cast, func, or_, select

from llm_service.store import tables
from llm_service.store.database import Database
from seedbed.errors import BadInput

By = Literal["key", "team", "user", "model", "day"]


def report(
    database: Database, by: By, since: datetime | None = None, *, latency: bool = True
) -> list[dict[str, Any]]:
    """A row for each key, team, user, model or day, the most expensive first (days in order).

    `since` (UTC) limits it to the requests from then on.

    Each: `by` (and "key_id" where that is "key"), "n", "ok", "cancelled", "errors",
    "prompt_tokens", "completion_tokens", "cached_tokens", "cost_usd", "p50_seconds",
    "p95_seconds" (of answers that were ok; None without any). Percentiles are exact (nearest
    rank) and computed by the database in sorted windows: it sends no rows, but reads all of
    them, which takes seconds for millions. For frequent calls give `since`, or skip the
    percentiles with `latency=False`.
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
        if latency:
            times = {row.grouped: row for row in connection.execute(_percentiles(group, where))}
            for row in rows:
                seconds = times.get(row["grouped"])
                row["p50_seconds"] = seconds and seconds.p50
                row["p95_seconds"] = seconds and seconds.p95
    rows.sort(key=lambda row: row["grouped"] if by == "day" else -row["cost_usd"])
    names = [(row.pop("grouped"), row.pop("name")) for row in rows]
    heads = [{"key": n, "key_id": g} if by == "key" else {by: g} for g, n in names]
    return [head | row for head, row in zip(heads, rows, strict=True)]


def _sums(group: Any, where: list[Any]) -> Select[Any]:
    column = tables.usage.c
    ok, cancelled = column.outcome == "ok", column.outcome == "cancelled"
    counts = {"ok": ok, "cancelled": cancelled, "errors": ~or_(ok, cancelled)}
    tokens = ("prompt_tokens", "completion_tokens", "cached_tokens")
    return (
        select(
            group,
            func.max(column.key_name).label("name"),
            func.count().label("n"),
            *(cast(func.sum(case((c, 1), else_=0)), Integer).label(n) for n, c in counts.items()),
            *(cast(func.sum(column[name]), BigInteger).label(name) for name in tokens),
            func.sum(column.cost_usd).label("cost_usd"),
        )
        .where(*where)
        .group_by(group)
    )


def _percentiles(group: Any, where: list[Any]) -> Select[Any]:
    """A query for the group, "p50" and "p95" in seconds of the successful requests."""
    column = tables.usage.c
    rank = func.row_number().over(partition_by=group, order_by=column.seconds).label("rank")
    count = func.count().over(partition_by=group).label("n")
    ok = select(group, column.seconds, rank, count).where(column.outcome == "ok", *where)
    ranked = ok.subquery().c

    def at(percent: int) -> Any:
        # The smallest rank with rank / n ≥ percent / 100, in whole numbers.
        here = and_(
            ranked.rank * 100 >= ranked.n * percent, (ranked.rank - 1) * 100 < ranked.n * percent
        )
        return cast(func.max(case((here, ranked.seconds))), Float).label(f"p{percent}")

    return select(ranked.grouped, at(50), at(95)).group_by(ranked.grouped)
