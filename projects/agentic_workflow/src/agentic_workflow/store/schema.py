"""The tables of the case database, the same on SQLite and Postgres.

    metadata.create_all(connection)
    connection.execute(select(cases.c.id).where(cases.c.status == "waiting"))

`cases.number` is the order of arrival and does not depend on the clock. Reading and writing are up
to `store.py` and, for the outbox, to `effects/outbox.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic_core import to_jsonable_python


class Text(sa.TypeDecorator[str]):
    """Text without what Postgres cannot store: NUL characters and lone surrogates."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:  # noqa: ARG002
        return value and value.encode(errors="replace").decode().replace("\0", "\ufffd")


class Json(sa.TypeDecorator[Any]):
    """Values of pydantic, and lists and dicts of them, as JSON."""

    impl = sa.JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:  # noqa: ARG002
        return to_jsonable_python(value)


class UtcTime(sa.TypeDecorator[datetime]):
    """A time with a zone; SQLite stores its text in UTC, without the zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


def _columns(kind: Any, *names: str, **options: Any) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, **options) for name in names]


def _text(*names: str) -> list[sa.Column[Any]]:
    return _columns(Text, *names, nullable=False, default="")


metadata = sa.MetaData()

cases = sa.Table(
    "cases",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", Text, nullable=False, unique=True),
    sa.Column("content_hash", Text, nullable=False, index=True),
    *_text("sender", "subject", "status", "outcome", "closed_by"),
    *_columns(Text, "category", "priority"),
    *_columns(sa.Integer, "attempt", "reopened", nullable=False, default=0),
    *_columns(Json, "mail", "triage", "facts", "decision", "draft", "approval"),
    sa.Column("received_at", UtcTime, nullable=False, index=True),
    *_columns(UtcTime, "changed_at", "closed_at", "due_at"),
    sa.Index("cases_by_status", "status", "number"),
    sa.Index("cases_by_sender", "sender", "number"),
    sa.Index("cases_by_category", "category", "number"),
    sa.Index("cases_by_close", "status", "closed_at"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("case_id", Text, nullable=False, index=True),  # empty: about the desk itself
    sa.Column("at", UtcTime, nullable=False),
    *_text("kind", "actor", "reason", "model", "prompt_version"),
    sa.Column("evidence", Json, nullable=False, default=()),
    sa.Column("tokens", sa.Integer, nullable=False, default=0),
    *_columns(sa.Float, "cost_usd", "seconds", nullable=False, default=0.0),
)
# Few events are calls of a model, and only those count for the limits of a day.
WITH_TOKENS = events.c.tokens > sa.text("0")
sa.Index("events_with_tokens", events.c.at, sqlite_where=WITH_TOKENS, postgresql_where=WITH_TOKENS)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("case_id", Text, nullable=False, index=True),
    sa.Column("status", Text, nullable=False, index=True),
    *_text("action", "receiver", "error", "receipt", "executor"),
    sa.Column("payload", Json, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    *_columns(UtcTime, "claimed_at", "done_at"),
    # Of a refund: its number among those of the order, so that two cannot have the same.
    sa.Column("order_id", Text),
    sa.Column("refund_number", sa.Integer),
    sa.UniqueConstraint("order_id", "refund_number"),
)
