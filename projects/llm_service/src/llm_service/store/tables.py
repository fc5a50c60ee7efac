"""The SQLAlchemy tables.

Money is in USD, times are UTC. A change here needs a new file in `migrations/versions`, for the
databases that there are.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes in Python on both databases: SQLite alone would drop the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

teams = Table(
    "teams",
    metadata,
    Column("name", String, primary_key=True),
    Column("budget_usd", Float),  # a month; null: none
)

keys = Table(
    "keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("digest", String, nullable=False, unique=True),  # sha256 of the secret, in hex
    Column("scopes", String, nullable=False),  # joined by ","
    Column("models", Text, nullable=False),  # a JSON list; empty: all
    Column("rpm", BigInteger),
    Column("tpm", BigInteger),
    Column("concurrency", BigInteger),
    Column("budget_usd", Float),
    Column("team", String, nullable=False, server_default=""),
    Column("created", UtcDateTime, nullable=False),
    Column("revoked", UtcDateTime),
    Column("expires", UtcDateTime),
)
# A name may be given again once its key is revoked; two processes can't both take it.
Index(
    "keys_name_in_use",
    keys.c.name,
    unique=True,
    sqlite_where=text("revoked IS NULL"),
    postgresql_where=text("revoked IS NULL"),
)

usage = Table(
    "usage",
    metadata,
    Column("id", String, primary_key=True),
    Column("request_id", String, nullable=False),
    Column("response_id", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("day", String(10), nullable=False),  # of `at`: grouped by on both databases alike
    Column("key_id", String, nullable=False),
    Column("key_name", String, nullable=False),
    Column("team", String, nullable=False),
    Column("user", String, nullable=False),
    Column("model", String, nullable=False),  # asked for
    Column("model_used", String, nullable=False),
    Column("backend", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("first_token", Float),
    Column("outcome", String, nullable=False),  # ok, cancelled, or an error's type
    Column("stream", Boolean, nullable=False),
    Column("cache", String, nullable=False),
    Column("experiment", String, nullable=False),
    Column("variant", String, nullable=False),
    Column("prompt", String, nullable=False),
    Column("decisions", Text, nullable=False),
    Column("messages", Text),  # JSON; null: not kept, or no longer
    Column("answer", Text),
)
Index("usage_at", usage.c.at)
Index("usage_response", usage.c.response_id)
Index("usage_experiment", usage.c.experiment, usage.c.at)
Index(
    "usage_with_content",
    usage.c.at,
    sqlite_where=text("messages IS NOT NULL"),
    postgresql_where=text("messages IS NOT NULL"),
)

# What each key and team spent in each month: written in the transaction of the usage rows, so that
# a budget costs a row's reading instead of a sum over a month, and old usage may be deleted.
spending = Table(
    "spending",
    metadata,
    Column("month", String(7), primary_key=True),  # "2026-01", UTC
    Column("payer", String, primary_key=True),  # "key:ID" or "team:NAME"
    Column("cost_usd", Float, nullable=False),
)

feedback = Table(
    "feedback",
    metadata,
    Column("response_id", String, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("rating", String),  # up, down or null
    Column("score", Float),
    Column("comment", Text, nullable=False),
    Column("correction", Text, nullable=False, server_default=""),
)
