"""The database of runs, ledger and leases: a SQLite file, or Postgres for several servers.

    engine = open_engine(Path("var/runs.sqlite"), metadata)    # or "postgresql://USER@HOST/NAME"
    with writing(engine) as connection:
        connection.execute(…)

Errors about locks, the disk and the server are SeedbedErrors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from seedbed.database.sql_engine import sql_engine
from seedbed.database.sqlite import sqlite_error
from seedbed.errors import SeedbedError, Unavailable

_SETTING = "SEEDBED_DATABASE_URL"
_CREATION_LOCK = 8002_2026  # advisory lock of Postgres: any number that no other program uses


def open_engine(url: str | Path, tables: sa.MetaData) -> sa.Engine:
    """An engine with these tables; errors about the database itself are Busy or Unavailable."""
    engine = sql_engine(url, setting=_SETTING, extra="multi-agent")
    if engine.dialect.name == "sqlite":
        with suppress(OSError):  # SQLite reports the folder that it cannot open
            Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
    sa.event.listen(engine, "handle_error", _translate)
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":  # other processes may create them, too
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_CREATION_LOCK})"))
        tables.create_all(connection)
    return engine


def _translate(context: sa.ExceptionContext) -> SeedbedError | None:
    error = context.original_exception
    url = context.engine.url if context.engine else sa.URL.create("")
    if context.dialect.name == "sqlite":
        hint = "Restore a backup."
        return sqlite_error(error, repr(url.database), setting="AGENTS_DATA_DIR", damaged=hint)
    if not isinstance(context.sqlalchemy_exception, OperationalError):
        return None
    hint = f"Check that the server is running and that {_SETTING} is correct."
    return Unavailable(f"{url!r} is unavailable: {' '.join(str(error).split())}.", hint=hint)


@contextmanager
def writing(engine: sa.Engine, *, durable: bool = False) -> Iterator[sa.Connection]:
    """A transaction; SQLite takes its lock at the beginning, so that reading first is safe.

    On SQLite, a power cut may undo the last commits that are not `durable`; those take 7 ms more.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            level = "FULL" if durable else "NORMAL"
            connection.connection.cursor().execute(f"PRAGMA synchronous={level}")
        with connection.execution_options(begin="BEGIN IMMEDIATE").begin():
            yield connection
