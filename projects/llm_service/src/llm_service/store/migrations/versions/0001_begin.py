"""Where migrations begin. A new database gets all of `tables.py`, and the newest revision."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing: no database is older."""
