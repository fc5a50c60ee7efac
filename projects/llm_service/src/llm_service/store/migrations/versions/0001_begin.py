"""Keys, teams, usage, spending, feedback."""

import sqlalchemy as sa
from alembic import op

from llm_service.store.tables import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "teams",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("budget_usd", sa.Float),
    )
    _create_keys()
    _create_usage()
    op.create_table(
        "spending",
        sa.Column("month", sa.String(7), primary_key=True),
        sa.Column("payer", sa.String, primary_key=True),
        sa.Column("cost_usd", sa.Float, nullable=False),
    )
    op.create_table(
        "feedback",
        sa.Column("response_id", sa.String, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("rating", sa.String),
        sa.Column("score", sa.Float),
        sa.Column("comment", sa.Text, nullable=False),
    )


def _create_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False, unique=True),
        sa.Column("scopes", sa.String, nullable=False),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("rpm", sa.BigInteger),
        sa.Column("tpm", sa.BigInteger),
        sa.Column("concurrency", sa.BigInteger),
        sa.Column("budget_usd", sa.Float),
        sa.Column("team", sa.String, nullable=False, server_default=""),
        sa.Column("created", UtcDateTime, nullable=False),
        sa.Column("revoked", UtcDateTime),
        sa.Column("expires", UtcDateTime),
    )
    in_use = sa.text("revoked IS NULL")
    op.create_index(
        "keys_name_in_use",
        "keys",
        ["name"],
        unique=True,
        sqlite_where=in_use,
        postgresql_where=in_use,
    )


def _create_usage() -> None:
    texts = ("key_id", "key_name", "team", "user", "model", "model_used", "backend", "kind")
    counts = ("prompt_tokens", "completion_tokens", "cached_tokens")
    op.create_table(
        "usage",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("response_id", sa.String, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in texts),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counts),
        sa.Column("cost_usd", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("first_token", sa.Float),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("cache", sa.String, nullable=False),
        sa.Column("experiment", sa.String, nullable=False),
        sa.Column("variant", sa.String, nullable=False),
        sa.Column("prompt", sa.String, nullable=False),
        sa.Column("decisions", sa.Text, nullable=False),
        sa.Column("messages", sa.Text),
        sa.Column("answer", sa.Text),
    )
    with_content = sa.text("messages IS NOT NULL")
    op.create_index("usage_at", "usage", ["at"])
    op.create_index("usage_response", "usage", ["response_id"])
    op.create_index("usage_experiment", "usage", ["experiment", "at"])
    op.create_index(
        "usage_with_content",
        "usage",
        ["at"],
        sqlite_where=with_content,
        postgresql_where=with_content,
    )
