"""SQLAlchemy engines by URL: for SQLite files, and for Postgres.

    engine = sql_engine("postgresql://me@host/name", setting="APP_DATABASE_URL")

Every wait has a limit.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.database.sqlite import open_sqlite
from seedbed.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

# Parameters of libpq, in seconds but for `tcp_user_timeout` (milliseconds). With them a lost server
# is detected within 20 s; by default TCP sends its first keep-alive after two hours.
_POSTGRES = {
    "connect_timeout": 5,
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


def sql_engine(
    url: str | Path, *, setting: str, extra: str = "", busy_seconds: float = 10.0
) -> Engine:
    """An SQLAlchemy engine for `sqlite:///FILE`, `postgresql://USER@HOST/NAME`, or a SQLite file.

    It connects on first use. On SQLite, the execution option `begin` sets the statement that begins
    a transaction: "BEGIN IMMEDIATE" for one that reads before it writes, by default "BEGIN".
    `busy_seconds` is how long a writer waits for a lock.

    Raises ConfigError, which names `setting` and does not contain the password, or MissingExtra,
    which names the `extra` of the project with the driver.
    """
    from sqlalchemy import create_engine, event

    parsed = _parse(url, setting)
    if parsed.drivername != "sqlite":
        try:
            return create_engine(parsed, pool_pre_ping=True, pool_timeout=5, connect_args=_POSTGRES)
        except ModuleNotFoundError:
            raise MissingExtra("psycopg", extra) from None
    path = Path(str(parsed.database))
    engine = create_engine(parsed, creator=lambda: open_sqlite(path, busy_seconds=busy_seconds))

    # Python's driver would begin a transaction only before a write, and none for CREATE TABLE.
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _parse(url: str | Path, setting: str) -> URL:
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError

    if isinstance(url, Path):
        return URL.create("sqlite", database=str(url))
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        raise ConfigError(
            f"{setting} is not a URL.", hint="Write postgresql://USER@HOST/NAME."
        ) from None
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    raise ConfigError(
        f"{setting} begins with {parsed.drivername!r}, which is not supported.",
        hint="Write postgresql://USER@HOST/NAME, or leave it out for SQLite.",
    )
