"""SQLite opened the way a service needs it, and SQLAlchemy engines for SQLite or Postgres by URL.

    connection = open_sqlite(Path("var/app.sqlite"))         # sqlite3, autocommit
    engine = sql_engine("postgresql://me@host/name", setting="APP_DATABASE_URL")

Every wait has a limit, and errors of the disk, a lock or a damaged file become Seedbed's. Tables,
migrations and transactions are up to the caller.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.errors import Busy, ConfigError, MissingExtra, SeedbedError, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

# A server that has vanished is noticed within seconds, not after TCP's two hours.
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
    """A connection in autocommit mode, which any thread may use, one at a time.

    `busy_seconds` is how long a writer waits for another one. With `wal` readers never wait, and a
    commit survives a crash of the program; without it (a file that is opened for each call: opening
    one with a log takes 0.6 ms, without 0.2 ms) a commit also survives a power cut. `pragmas` are
    set on the connection.

    >>> connection = open_sqlite(Path("app.sqlite"), foreign_keys=1)
    >>> connection.execute("PRAGMA journal_mode").fetchone()
    ('wal',)
    """
    connection = sqlite3.connect(
        path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(connection, busy_seconds, wal, pragmas)
    except BaseException:
        connection.close()
        raise
    return connection


class SqliteConnections:
    """One connection per thread to a file, opened by `open_sqlite` with these options.

    >>> connections = SqliteConnections(Path("app.sqlite"), foreign_keys=1)
    >>> connections.get() is connections.get()
    True
    """

    def __init__(self, path: Path, **options: Any) -> None:
        self._path = path
        self._options = options
        self._local = threading.local()
        self._lock = threading.Lock()
        self._by_thread: dict[threading.Thread, sqlite3.Connection] = {}

    def get(self) -> sqlite3.Connection:
        """The connection of the calling thread; opens it at the first call."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_sqlite(self._path, **self._options)
            with self._lock:
                # Servers replace idle threads: each one that ended would leak three open files.
                for thread in [t for t in self._by_thread if not t.is_alive()]:
                    self._by_thread.pop(thread).close()
                self._by_thread[threading.current_thread()] = connection
        return connection

    def close(self) -> None:
        """Close the connections of all threads. A later `get` opens a new one."""
        with self._lock:
            for connection in self._by_thread.values():
                connection.close()
            self._by_thread.clear()
        self._local = threading.local()


def _prepare(
    connection: sqlite3.Connection, busy_seconds: float, wal: bool, pragmas: dict[str, int]
) -> None:
    if wal:
        _switch_to_wal(connection, busy_seconds)
        connection.execute("PRAGMA synchronous=NORMAL")
    for name, value in pragmas.items():
        connection.execute(f"PRAGMA {name}={value}")


def _switch_to_wal(connection: sqlite3.Connection, busy_seconds: float) -> None:
    """Change the file's journal to WAL, unless it has one already.

    SQLite's own busy timeout does not cover this: of two processes that open a new file together,
    one would fail at once.
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
    """Turn SQLite's errors about the disk, a lock or a damaged file into Seedbed's.

    `setting` names the folder of the file; `damaged` is the hint for a file that cannot be read.
    Mistakes in a statement stay what they are.

    >>> path = Path("no-such-folder/app.sqlite")
    >>> with sqlite_errors(path, setting="APP_DATA_DIR", damaged="Restore a backup."):
    ...     open_sqlite(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    seedbed.errors.Unavailable: Cannot open 'no-such-folder/app.sqlite': unable to open database ...
    """
    try:
        yield
    except sqlite3.Error as error:
        found = sqlite_error(error, repr(str(path)), setting=setting, damaged=damaged)
        if found is None:
            raise
        raise found from None


def sqlite_error(
    error: BaseException | None, name: str, *, setting: str, damaged: str
) -> SeedbedError | None:
    """What `sqlite_errors` raises for an error of SQLite's; None where a statement is wrong.

    >>> sqlite_error(ValueError("no SQLite"), "app.db", setting="", damaged="") is None
    True
    """
    # The low byte is the kind of error, the rest its variety: https://sqlite.org/rescode.html
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Busy(f"{name} is locked by another process.", retry_after=2)
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            hint = "Free some space and try again: what was stored before is intact."
            return Unavailable(f"Cannot write {name}: {error}.", hint=hint)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            hint = f"Set {setting} to a folder that you may write to."
            return Unavailable(f"Cannot open {name}: {error}.", hint=hint)
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Unavailable(f"{name} is damaged: {error}.", hint=damaged)
    return None


def sql_engine(
    url: str | Path, *, setting: str, extra: str = "", busy_seconds: float = 10.0
) -> Engine:
    """An SQLAlchemy engine for `sqlite:///FILE`, `postgresql://USER@HOST/NAME`, or a SQLite file.

    Nothing is opened yet. On SQLite a transaction begins with BEGIN, or with what the execution
    option `begin` says ("BEGIN IMMEDIATE" for a transaction that reads before it writes). Raises
    ConfigError, which names `setting` and never shows the password, or MissingExtra, which names
    the `extra` of the project that brings the driver.

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
    engine = create_engine(parsed, connect_args={"timeout": busy_seconds})

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: Any) -> None:
        # Python's driver begins transactions late, and none for CREATE TABLE: `_begin` does it.
        connection.isolation_level = None
        _prepare(connection, busy_seconds, wal=True, pragmas={})

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
