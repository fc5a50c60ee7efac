"""SQLAlchemy engines by URL: for SQLite files, and for Postgres.

    engine = sql_engine("postgresql://me@host/name")

Every wait has a limit, and errors of the server, the disk or a lock are Unavailable or Busy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.database.sqlite import open_sqlite, sqlite_error
from seedbed.errors import Busy, ConfigError, MissingExtra, SeedbedError, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine, ExceptionContext

SETTING = "SEEDBED_DATABASE_URL"
_LOCK_STATES = ("40001", "40P01", "55P03")  # serialization failure, deadlock, lock not available

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
    url: str | Path,
    *,
    schema: str = "",
    extra: str = "",
    folder_setting: str = "",
    busy_seconds: float = 10.0,
) -> Engine:
    """An SQLAlchemy engine for `sqlite:///FILE`, `postgresql://USER@HOST/NAME`, or a SQLite file.

    It connects on first use. On SQLite, the execution option `begin` sets the statement that begins
    a transaction: "BEGIN IMMEDIATE" for one that reads before it writes, by default "BEGIN".
    `busy_seconds` is how long a writer waits for a lock. On Postgres, tables are those of `schema`.
    `folder_setting` is the setting for the folder of a SQLite file, for messages.

    Raises ConfigError, which does not contain the password, or MissingExtra, which names the
    `extra` of the project with the driver.
    """
    from sqlalchemy import create_engine, event

    parsed = _parse(url)

    def translate(context: ExceptionContext) -> SeedbedError | None:
        return _translate(context, parsed, folder_setting)

    if parsed.drivername != "sqlite":
        try:
            engine = create_engine(
                parsed, pool_pre_ping=True, pool_timeout=5, connect_args=_POSTGRES
            )
        except ModuleNotFoundError:
            raise MissingExtra("psycopg", extra) from None
        event.listen(engine, "handle_error", translate)
        if schema:
            event.listen(engine, "connect", lambda c, _: _use_schema(c, schema))
        return engine
    path = Path(str(parsed.database))
    engine = create_engine(parsed, creator=lambda: open_sqlite(path, busy_seconds=busy_seconds))
    event.listen(engine, "handle_error", translate)

    # Python's driver would begin a transaction only before a write, and none for CREATE TABLE.
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _use_schema(connection: Any, schema: str) -> None:
    connection.autocommit = True  # the setting would end with a transaction that is rolled back
    connection.execute(f'SET search_path TO "{schema}"')
    connection.autocommit = False


def _translate(context: ExceptionContext, url: URL, setting: str) -> SeedbedError | None:
    """Our error for one of a driver about the server, the disk or a lock; None for any other."""
    from sqlalchemy.exc import OperationalError

    error, name = context.original_exception, url.render_as_string(hide_password=True)
    if context.dialect.name == "sqlite":
        return sqlite_error(error, name, setting=setting, damaged="Restore a backup.")
    if not isinstance(context.sqlalchemy_exception, OperationalError) and not context.is_disconnect:
        return None
    if getattr(error, "sqlstate", None) in _LOCK_STATES:
        return Busy(f"{name} is locked by another process.", retry_after=2)
    return Unavailable(
        f"Database {name} is unavailable: {' '.join(str(error).split())}.",
        hint=f"Check that the server is running and that {SETTING} is correct.",
    )


def _parse(url: str | Path) -> URL:
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError

    if isinstance(url, Path):
        return URL.create("sqlite", database=str(url))
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        raise ConfigError(
            f"{SETTING} is not a URL.", hint="Write postgresql://USER@HOST/NAME."
        ) from None
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    raise ConfigError(
        f"{SETTING} begins with {parsed.drivername!r}, which is not supported.",
        hint="Write postgresql://USER@HOST/NAME, or leave it out for SQLite.",
    )
