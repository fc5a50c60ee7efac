"""The tables of the case database, the same on SQLite and Postgres.

    metadata.create_all(connection)
    connection.execute(select(cases.c.id).where(cases.c.status == "waiting"))

Times are stored in UTC and come back with a time zone. `cases.number` gives the order of arrival
and does not depend on the clock. Reading and writing are up to `store.py` and, for the outbox, to
`effects/outbox.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    DDL,
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    event,
    false,
    text,
)


class UtcTime(TypeDecorator[datetime]):
    """A time with a zone. SQLite has no type for it, so it is stored there as text in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC. Raises ValueError for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"The time {value} has no time zone.")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Restore the zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

cases = Table(
    "cases",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("content_hash", String, nullable=False, index=True),
    Column("sender", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("status", String, nullable=False),
    Column("category", String),
    Column("priority", String),
    Column("revision", Integer, nullable=False, default=1),
    Column("attempt", Integer, nullable=False, default=0),
    Column("mail", JSON, nullable=False),
    Column("triage", JSON(none_as_null=True)),
    Column("facts", JSON(none_as_null=True)),
    Column("decision", JSON(none_as_null=True)),
    Column("draft", JSON(none_as_null=True)),
    Column("outcome", Text, nullable=False, default=""),
    Column("policy_version", String, nullable=False, default=""),
    Column("received_at", UtcTime, nullable=False, index=True),
    Column("changed_at", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
    Column("closed_by", String, nullable=False, default=""),
    # For statistics, which read nothing but the index below. Empty for duplicates.
    Column("closed_day", String),  # ISO date in UTC
    Column("open_seconds", Float),
    Index("cases_by_status", "status", "number"),
    Index("cases_by_category", "category", "number"),
    Index("cases_by_day", "closed_day", "closed_by", "category", "open_seconds"),
)

events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("case_id", String, nullable=False, index=True),  # empty for a switch
    Column("at", UtcTime, nullable=False),
    Column("kind", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("model", String, nullable=False),
    Column("prompt_version", String, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("seconds", Float, nullable=False),
)
# Few events are calls of a model, and only those count for the limits of a day.
WITH_TOKENS = events.c.tokens > text("0")
Index("events_with_tokens", events.c.at, sqlite_where=WITH_TOKENS, postgresql_where=WITH_TOKENS)

approvals = Table(
    "approvals",
    metadata,
    Column("case_id", String, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("reasons", JSON, nullable=False),
    Column("requested_at", UtcTime, nullable=False),
    Column("remind_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("reminded", Boolean, nullable=False, server_default=false()),
    Column("decision", String),  # "approve", "reject" or "ask"; null: undecided
    Column("decided_by", String, nullable=False, server_default=""),
    Column("decided_at", UtcTime),
    Column("comment", Text, nullable=False, server_default=""),
)
UNDECIDED = approvals.c.decision.is_(None)
Index("approvals_due", approvals.c.due_at, sqlite_where=UNDECIDED, postgresql_where=UNDECIDED)

corrections = Table(
    "corrections",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("case_id", String, nullable=False, index=True),
    Column("before", JSON, nullable=False),  # drafts
    Column("after", JSON, nullable=False),
    Column("corrected_by", String, nullable=False),
    Column("at", UtcTime, nullable=False, index=True),
    Column("comment", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("key", String, primary_key=True),
    Column("case_id", String, nullable=False, index=True),
    Column("action", String, nullable=False),
    Column("receiver", String, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("status", String, nullable=False, index=True),
    Column("attempts", Integer, nullable=False, default=0),
    Column("error", Text, nullable=False, default=""),
    Column("receipt", Text, nullable=False, default=""),
    Column("executor", String, nullable=False, default=""),
    Column("claimed_at", UtcTime),
    Column("done_at", UtcTime),
)

switches = Table(
    "switches",
    metadata,
    Column("name", String, primary_key=True),
    Column("is_on", Boolean, nullable=False),
    Column("changed_by", String, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
)

# The words of each case for full-text search, written by `search.py` in the form of each database.
_FULL_TEXT = {
    "sqlite": "CREATE VIRTUAL TABLE IF NOT EXISTS case_words USING fts5(words, content='')",
    "postgresql": (
        "CREATE TABLE IF NOT EXISTS case_words (number INTEGER PRIMARY KEY, words tsvector);"
        " CREATE INDEX IF NOT EXISTS case_words_words ON case_words USING gin (words)"
    ),
}
for _dialect, _statement in _FULL_TEXT.items():
    event.listen(metadata, "after_create", DDL(_statement).execute_if(dialect=_dialect))
