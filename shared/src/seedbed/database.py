"""SQLite connections with the settings a service needs, and SQLAlchemy engines by URL.

    connection = open_sqlite(Path("var/app.sqlite"))  # sqlite3, autocommit
    engine = sql_engine("postgresql://me@host/name", setting="APP_DATABASE_URL")

Every wait has a limit. `sqlite_errors` turns errors of the disk, of locks and of damaged files into
SeedbedErrors. Tables, migrations and transactions are up to the caller.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.errors import Busy, ConfigError, MissingExtra, SeedbedError, Unavailable

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


def open_sqlite(
    path: Path, *, busy_seconds: float = 30.0, wal: bool = True, **pragmas: int
) -> sqlite3.Connection:
    """A connection in autocommit mode, which several threads may use, one at a time.

    - `busy_seconds` is how long a writer waits for a lock.
    - `wal` selects write-ahead logging: readers never wait, and a commit survives a crash of the
      program, but not always a power cut. Without it, commits survive both, and opening the file
      takes 0.2 ms instead of 0.6 ms, which counts where every call opens it.
    - `pragmas` are set on the connection, e.g. `foreign_keys=1`.

    >>> connection = open_sqlite(Path("app.sqlite"), foreign_keys=1)
    >>> connection.execute("PRAGMA journal_mode").fetchone()
    ('wal',)
    """
    connection = sqlite3.connect(
        path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        if wal:
            _switch_to_wal(connection, busy_seconds)
            connection.execute("PRAGMA synchronous=NORMAL")
        for name, value in pragmas.items():
            connection.execute(f"PRAGMA {name}={value}")
    except BaseException:
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Switch the file to write-ahead logging, which it then keeps.

    SQLite's busy timeout does not apply here: of two processes that open a new file together, one
    would fail at once. Hence the retries.
    """
    end = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


@contextmanager
def sqlite_errors(path: Path, *, setting: str, damaged: str) -> Iterator[None]:
    """Turn SQLite's errors about the disk, a lock or a damaged file into Busy or Unavailable.

    `setting` is the name of the setting for the file's folder, and `damaged` the hint for a damaged
    file. Other errors of SQLite, such as a mistake in a statement, pass.

    >>> path = Path("no-such-folder/app.sqlite")
    >>> with sqlite_errors(path, setting="APP_DATA_DIR", damaged="Restore a backup."):
    ...     open_sqlite(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    seedbed.errors.Unavailable: Cannot open 'no-such-folder/app.sqlite': unable to open database ...
    """
    try:
        yield
    except sqlite3.Error as error:
        translation = sqlite_error(error, repr(str(path)), setting=setting, damaged=damaged)
        if translation is None:
            raise
        raise translation from None


def sqlite_error(
    error: BaseException | None, name: str, *, setting: str, damaged: str
) -> SeedbedError | None:
    """The error that `sqlite_errors` raises for one of SQLite's; None if that one should pass.

    For SQLAlchemy, whose exceptions have SQLite's error in `orig`. `name` is that of the database.

    >>> sqlite_error(ValueError("no SQLite"), "app.db", setting="", damaged="") is None
    True
    """
    # The low byte is the primary result code: https://sqlite.org/rescode.html
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Busy(f"{name} is locked by another process.", retry_after=2)
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            hint = "Free some space and try again. The stored data is intact."
            return Unavailable(f"Cannot write {name}: {error}.", hint=hint)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            hint = f"Set {setting} to a writable folder."
            return Unavailable(f"Cannot open {name}: {error}.", hint=hint)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Unavailable(f"{name} is damaged: {error}.", hint=damaged)
    return None


def sql_engine(
    url: str | Path, *, setting: str, extra: str = "", busy_seconds: float = 10.0
) -> Engine:
    """An SQLAlchemy engine for `sqlite:///FILE`, `postgresql://USER@HOST/NAME`, or a SQLite file.

    It connects on first use. On SQLite, the execution option `begin` sets the statement that begins
    a transaction: "BEGIN IMMEDIATE" for one that reads before it writes, by default "BEGIN".
    `busy_seconds` is how long a writer then waits for a lock.

    Raises ConfigError, which names `setting` and does not contain the password, or MissingExtra,
    which names the `extra` of the project with the driver.

    >>> engine = sql_engine(Path("app.sqlite"), setting="APP_DATABASE_URL")
    >>> engine.dialect.name
    'sqlite'
    >>> sql_engine("mysql://me:secret@host/name", setting="APP_URL")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    seedbed.errors.ConfigError: APP_URL begins with 'mysql', which is not supported. Write ...
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

    # Python's driver would begin transactions late, and none for CREATE TABLE.
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
