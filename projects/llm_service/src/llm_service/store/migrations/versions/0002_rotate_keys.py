"""The secret that a key had before its last rotation, and until when it is accepted."""

import sqlalchemy as sa
from alembic import op

from llm_service.store.tables import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("keys", sa.Column("previous_digest", sa.String))
    op.add_column("keys", sa.Column("previous_until", UtcDateTime))
