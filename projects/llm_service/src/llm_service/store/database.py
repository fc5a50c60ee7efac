"""The service's database: SQLite in its data folder or Postgres by URL, up to date once open.

It handles connections, migrations and errors; the tables are in `tables`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from llm_service.config import Config
from llm_service.store.tables import metadata
from seedbed.database.sql_engine import sql_engine
from seedbed.database.sqlite import sqlite_error
from seedbed.errors import BadInput, ConfigError, Unavailable

MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 10  # how long a writer waits for its turn
_LOCK = 8004_2026  # Postgres' advisory lock of migrations: any number that no other program uses


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
            # SQLite locks at once, so that what is read before the first write stays true.
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
            translation = sqlite_error(
                error.orig, self.url, setting="SERVICE_DATA_DIR", damaged="Restore a backup."
            )
            if translation is None and not self.is_sqlite and _is_outage(error):
                words = " ".join(str(error.orig).split())
                hint = "Check that the server is running and that SERVICE_DATABASE_URL is correct."
                translation = Unavailable(
                    f"Database {self.url} is unavailable: {words}.", hint=hint
                )
            if translation is None:
                raise
            raise translation from None


def _is_outage(error: DBAPIError) -> bool:
    return isinstance(error, OperationalError) or error.connection_invalidated


def open_database(config: Config) -> Database:
    """The database of the settings, its tables brought up to date.

    Safe when several processes start together. Raises ConfigError (a wrong URL, a database of a
    newer version), MissingExtra, Unavailable; none of them shows the password.
    """
    url = config.database_url
    engine = sql_engine(
        config.data_dir / "service.db" if url is None else url.get_secret_value(),
        setting="SERVICE_DATABASE_URL",
        extra="llm-service[postgres]",
        busy_seconds=_BUSY_SECONDS,
    )
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        database = Database(engine, config.data_dir)
        _upgrade(database)
    except OSError as error:
        raise Unavailable(
            f"Cannot write to {str(config.data_dir)!r}: {error.strerror or error}.",
            hint="Set SERVICE_DATA_DIR to a writable folder.",
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
        raise BadInput(f"{what} is too long: {len(value)} characters, at most {most} are allowed.")
    if cleaned(value) != value:
        raise BadInput(f"{what} {value!r} contains a NUL character or half a surrogate pair.")
    return value


def cleaned(value: str) -> str:
    """Without what Postgres can't keep: NUL characters, and surrogates that stand alone."""
    return value.encode(errors="replace").decode().replace("\0", "\ufffd")


def _upgrade(database: Database) -> None:
    from alembic import command
    from alembic.config import Config as AlembicConfig
    from alembic.util import CommandError
    from filelock import FileLock

    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with FileLock(str(database.data_dir / "open.lock")), database.writing() as connection:
        if not database.is_sqlite:  # on another machine the lock file is another one
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _LOCK})
        settings.attributes["connection"] = connection
        try:
            if inspect(connection).has_table("keys"):
                command.upgrade(settings, "head")
            else:
                metadata.create_all(connection)
                command.stamp(settings, "head")
        except CommandError as error:
            raise ConfigError(
                f"Database {database.url} was written by a newer version: {error}",
                hint="Upgrade llm-service, or restore an older backup.",
            ) from None
