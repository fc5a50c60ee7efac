"""The database of a project: opened with its tables, and read and written in transactions.

    engine = open_database(config.database_url, Path("var/app.sqlite"), "my_app", metadata)
    with writing(engine) as connection:
        connection.execute(upsert(connection, runs, {"id": 7, "state": "done"}))

Without a URL it is a SQLite file. On Postgres each project has a schema of its own, so that several
share one database. Errors of the server, the disk or a lock are Unavailable or Busy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, Insert, MetaData, Table, event, inspect, text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from seedbed.database.sql_engine import SETTING, sql_engine
from seedbed.errors import Busy, ConfigError


def open_database(
    url: str | SecretStr | Path | None,
    file: Path,
    name: str,
    tables: MetaData,
    *,
    migrations: Path | None = None,
    durable: bool = False,
    extra: str = "",
    folder_setting: str = "",
) -> Engine:
    """An engine for the database of the project `name`, with its tables up to date.

    Safe while other processes do the same. Tables are created, or brought up to date by the folder
    `migrations` of Alembic. By default a power cut may undo the last commits to a SQLite file; not
    those of a `durable` database, which take 7 ms more. `extra` is the project's extra with the
    driver of Postgres, and `folder_setting` the setting for the folder of `file`.

    Raises ConfigError for a wrong URL or a database of a newer version, MissingExtra without a
    driver, and Unavailable. None of them shows the password.
    """
    if isinstance(url, SecretStr):
        url = url.get_secret_value()
    options: dict[str, Any] = {"extra": extra, "folder_setting": folder_setting}
    engine = sql_engine(url or file, **options)
    # 1. The place: a folder, or a schema.
    if engine.dialect.name == "sqlite":
        if durable:
            event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA synchronous=FULL"))
        with suppress(OSError):  # SQLite reports the folder that it cannot open
            Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
    elif not _is_in_public(engine, name, tables):
        engine.dispose()
        engine = sql_engine(url or file, schema=name, **options)
    # 2. The tables. SQLite's write lock, or one of Postgres, keeps other processes out.
    with writing(engine) as connection:
        _lock(connection, name)
        if migrations is None:
            tables.create_all(connection)
        else:
            _migrate(connection, tables, migrations)
    return engine


def _is_in_public(engine: Engine, name: str, tables: MetaData) -> bool:
    """Whether `public` has the tables, as in older databases; otherwise a schema is made."""
    with writing(engine) as connection:
        _lock(connection, name)
        known = inspect(connection)
        if name not in known.get_schema_names():
            if set(tables.tables) <= set(known.get_table_names("public")):
                return True
            connection.execute(text(f'CREATE SCHEMA "{name}"'))
    return False


def _lock(connection: Connection, name: str) -> None:
    if connection.dialect.name == "postgresql":
        number = lock_number(f"open {name}")
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def lock_number(name: str) -> int:
    """The number of an advisory lock of Postgres, of 64 bits."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)


def _migrate(connection: Connection, tables: MetaData, folder: Path) -> None:
    import logging

    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = Config()
    settings.set_main_option("script_location", str(folder).replace("%", "%%"))
    settings.attributes["connection"] = connection  # for env.py
    try:
        if set(inspect(connection).get_table_names()) & set(tables.tables):
            command.upgrade(settings, "head")
        else:
            tables.create_all(connection)
            command.stamp(settings, "head")
    except CommandError as error:
        url = connection.engine.url.render_as_string(hide_password=True)
        raise ConfigError(
            f"Database {url} was written by a newer version: {error}",
            hint="Upgrade the program, or restore an older backup.",
        ) from None


@contextmanager
def reading(engine: Engine, **options: Any) -> Iterator[Connection]:
    """A connection for queries, which see one state of the database; `options` are SQLAlchemy's.

    With isolation_level="AUTOCOMMIT" each query sees the newest state, and on Postgres a short one
    takes half the time. Raises Unavailable, or Busy if another process has a lock.
    """
    try:
        with engine.connect() as connection:
            yield connection.execution_options(**options)
    except PoolTimeout:
        raise Busy("All connections to the database are in use.", retry_after=2) from None


@contextmanager
def writing(engine: Engine, *, durable: bool = False) -> Iterator[Connection]:
    """A transaction: all of it is written, or nothing. Raises as `reading` does.

    SQLite takes its write lock at the beginning: what is read before the first write stays true. A
    `durable` transaction survives a power cut on SQLite, too.
    """
    with reading(engine, begin="BEGIN IMMEDIATE") as connection:
        full = durable and engine.dialect.name == "sqlite"
        if full:
            connection.connection.cursor().execute("PRAGMA synchronous=FULL")
        try:
            with connection.begin():
                yield connection
        finally:
            if full and not connection.invalidated:
                connection.connection.cursor().execute("PRAGMA synchronous=NORMAL")


def upsert(
    connection: Connection, table: Table, row: Mapping[str, Any], add: Collection[str] = ()
) -> Insert:
    """Insert the row, or replace the one with its primary key; columns of `add` are summed."""
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).values(row)
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


__all__ = ["SETTING", "lock_number", "open_database", "reading", "upsert", "writing"]
