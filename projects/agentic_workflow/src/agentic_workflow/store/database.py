"""Opens the case database, and wraps each transaction on it.

    engine = open_database("sqlite:///var/cases.sqlite")  # creates the tables
    with writing(engine) as connection:
        connection.execute(...)

Errors of the server, the disk or a lock become Unavailable or Busy here, so that every caller can
retry on these two. What the tables mean is up to `store.py` and `effects/outbox.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from agentic_workflow.store.schema import metadata
from seedbed.database.sql_engine import sql_engine
from seedbed.database.sqlite import sqlite_error
from seedbed.errors import Busy, SeedbedError, Unavailable

SETTING = "SEEDBED_DATABASE_URL"
_CREATION_LOCK = 8005_2026  # advisory lock of Postgres: any number that no other program uses
_LOCK_STATES = ("40001", "40P01", "55P03")  # serialization failure, deadlock, lock not available


def open_database(url: str | Path) -> Engine:
    """An engine for the database, with its tables; safe while other processes do the same.

    Raises ConfigError for a wrong URL, MissingExtra without a driver, and Unavailable.
    """
    engine = sql_engine(url, setting=SETTING)
    if engine.dialect.name == "sqlite":
        # By default a power cut may undo the last commits: a claim of the outbox, and the mail
        # would be sent again.
        event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA synchronous=FULL"))
        with suppress(OSError):  # SQLite reports the folder that it cannot open
            Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _CREATION_LOCK})
        metadata.create_all(connection)
    return engine


@contextmanager
def reading(engine: Engine, **options: Any) -> Iterator[Connection]:
    """A connection for queries. Raises Unavailable, or Busy if another process has a lock."""
    if not options and engine.dialect.name == "postgresql":
        # Without BEGIN and ROLLBACK, which would take twice as long as the query.
        options["isolation_level"] = "AUTOCOMMIT"
    try:
        with engine.connect() as connection:
            yield connection.execution_options(**options)
    except PoolTimeout:
        raise Busy("All connections to the database are in use.", retry_after=2) from None
    except DBAPIError as error:
        translation = _translate(error, engine)
        if translation is None:
            raise
        raise translation from None


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction: all of it is written, or nothing. Raises as `reading` does.

    SQLite takes its write lock at the beginning: a transaction that reads first and writes later
    would fail if another process wrote in between.
    """
    with reading(engine, begin="BEGIN IMMEDIATE") as connection, connection.begin():
        yield connection


def _translate(error: DBAPIError, engine: Engine) -> SeedbedError | None:
    name = engine.url.render_as_string(hide_password=True)
    if engine.dialect.name == "sqlite":
        damaged = "Restore a backup."
        return sqlite_error(error.orig, name, setting="WORKFLOW_DATA_DIR", damaged=damaged)
    if not isinstance(error, OperationalError) and not error.connection_invalidated:
        return None
    if getattr(error.orig, "sqlstate", None) in _LOCK_STATES:
        return Busy(f"{name} is locked by another process.", retry_after=2)
    reason = " ".join(str(error.orig).split())
    hint = f"Check that the server is running and that {SETTING} is correct."
    return Unavailable(f"Database {name} is unavailable: {reason}.", hint=hint)
