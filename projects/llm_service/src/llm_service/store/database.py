"""The service's database: SQLite in its data folder or Postgres by URL, up to date once open.

It knows connections, migrations and errors; it does not know what the tables mean.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from llm_service.config import Config
from seedbed.errors import BadInput, Busy, ConfigError, MissingExtra, Unavailable

MIGRATIONS = Path(__file__).parent / "migrations"
# A server that has vanished is noticed within seconds, not after TCP's two hours.
_POSTGRES = {
    "connect_timeout": 5,
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
_BUSY_SECONDS = 10  # how long a writer waits for its turn
_LOCK = 8004_2026  # Postgres' advisory lock of migrations: any number that nobody else uses


class Database:
    """Connections to an up-to-date database; `url` is without its password."""

    def __init__(self, engine: Engine, data_dir: Path) -> None:
        self.engine = engine
        self.data_dir = data_dir
        self.url = engine.url.render_as_string(hide_password=True)
        self.is_sqlite = engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view. Raises Unavailable, or Busy where another process holds a lock."""
        with self._translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it is written, or nothing. Raises as `reading` does."""
        with self._translated(), self.engine.connect() as connection:
            # Reads that come before its first write must not see what has changed since.
            connection = connection.execution_options(begin="BEGIN IMMEDIATE")
            with connection.begin():
                yield connection

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn errors of the server, the disk or a lock into ours; others are the caller's."""
        try:
            yield
        except DBAPIError as error:
            words = " ".join(str(error.orig).split())
            if "database is locked" in words:
                raise Busy(f"{self.url} is locked by another process.", retry_after=2) from None
            damaged = "malformed" in words or "not a database" in words
            if isinstance(error, OperationalError) or error.connection_invalidated or damaged:
                raise Unavailable(
                    f"{self.url} does not answer: {words}.", hint=self._hint
                ) from None
            raise

    @property
    def _hint(self) -> str:
        if self.is_sqlite:
            return "See that the disk has room, and that SERVICE_DATA_DIR may be written to."
        return "See that the server runs and that SERVICE_DATABASE_URL is right."


def open_database(config: Config) -> Database:
    """The database of the settings, its tables brought up to date.

    Safe when several processes start together. Raises ConfigError (a wrong URL, a database of a
    newer version), MissingExtra, Unavailable; none of them shows the password.
    """
    url = _url(config)
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        database = Database(_engine(url), config.data_dir)
        _upgrade(database)
    except OSError as error:
        raise Unavailable(
            f"Cannot keep data in {str(config.data_dir)!r}: {error.strerror or error}.",
            hint="Set SERVICE_DATA_DIR to a folder that you may write to.",
        ) from None
    return database


def upsert(
    database: Database, table: Table, row: Mapping[str, Any], add: tuple[str, ...] = ()
) -> Insert:
    """Insert the row, or replace the one with its primary key; columns of `add` are summed."""
    from sqlalchemy.dialects import postgresql, sqlite

    statement = (sqlite if database.is_sqlite else postgresql).insert(table).values(row)
    primary = [column.name for column in table.primary_key]
    replacing: Insert = statement.on_conflict_do_update(
        index_elements=primary,
        set_={
            name: table.c[name] + statement.excluded[name] if name in add else value
            for name, value in statement.excluded.items()
            if name not in primary
        },
    )
    return replacing


def storable(value: str, what: str, most: int = 200) -> str:
    """`value` if every database can keep it; BadInput names `what` otherwise."""
    if len(value) > most:
        raise BadInput(f"{what} has {len(value)} characters; at most {most} are kept.")
    if cleaned(value) != value:
        raise BadInput(f"{what} {value!r} holds a NUL character or half of a surrogate pair.")
    return value


def cleaned(value: str) -> str:
    """Without what Postgres can't keep: NUL characters, and surrogates that stand alone."""
    return value.encode(errors="replace").decode().replace("\0", "\ufffd")


def _url(config: Config) -> URL:
    if config.database_url is None:
        return URL.create("sqlite", database=str(config.data_dir / "service.db"))
    try:
        url = make_url(config.database_url.get_secret_value().strip())
    except (ArgumentError, ValueError):
        raise ConfigError(
            "SERVICE_DATABASE_URL is not a URL.", hint="Write postgresql://USER@HOST/NAME."
        ) from None
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database not in (None, "", ":memory:"):
        return url
    raise ConfigError(
        f"SERVICE_DATABASE_URL begins with {url.drivername!r}, which is not served.",
        hint="Write postgresql://USER@HOST/NAME, or leave it out for SQLite.",
    )


def _engine(url: URL) -> Engine:
    if url.drivername != "sqlite":
        try:
            return create_engine(url, pool_pre_ping=True, pool_timeout=5, connect_args=_POSTGRES)
        except ModuleNotFoundError:
            raise MissingExtra("psycopg", "llm-service[postgres]") from None
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        # Python's driver begins transactions late, and none for CREATE TABLE: `_begin` does it.
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

    return engine


def _upgrade(database: Database) -> None:
    from alembic import command
    from alembic.config import Config as AlembicConfig
    from alembic.util import CommandError
    from filelock import FileLock

    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with FileLock(str(database.data_dir / "open.lock")):
        if database.is_sqlite:
            with database.reading() as connection:
                raw = connection.connection.driver_connection
                assert isinstance(raw, sqlite3.Connection)
                raw.execute("PRAGMA journal_mode=WAL")  # the file remembers it
        with database.writing() as connection:
            if not database.is_sqlite:  # on another machine the lock file is another one
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _LOCK})
            settings.attributes["connection"] = connection
            try:
                command.upgrade(settings, "head")
            except CommandError as error:
                raise ConfigError(
                    f"{database.url} was written by a newer version: {error}",
                    hint="Update llm-service, or restore the backup from before.",
                ) from None
