"""The state of the graph after each step, in SQLite or Postgres.

    with open_checkpointer(config) as checkpointer:
        graph = builder.compile(checkpointer=checkpointer)

LangGraph's savers, limited to the types of `multi_agent.state`. They raise Busy if the database is
locked and Unavailable if the disk is full or the server cannot be reached: the run then fails, and
can be resumed from its last checkpoint.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from multi_agent import state
from seedbed.database.sql_engine import sql_engine
from seedbed.database.sqlite import open_sqlite, sqlite_errors
from seedbed.errors import Unavailable

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    from multi_agent.config import Config

_MIGRATION_LOCK = 8003_2026  # advisory lock of Postgres: any number that no other program uses


@contextmanager
def open_checkpointer(config: Config) -> Iterator[BaseCheckpointSaver[Any]]:
    """The saver for these settings, for any number of threads. Raises ConfigError too."""
    url = (
        config.database_url and sql_engine(config.database_url, setting="SEEDBED_DATABASE_URL").url
    )
    if url and url.drivername != "sqlite":
        address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with _postgres(address) as saver:
            yield saver
    else:
        with _sqlite(config.data_dir / "checkpoints.sqlite") as saver:
            yield saver


def serializer() -> JsonPlusSerializer:
    """Loads no types but LangGraph's own and those of `multi_agent.state`."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    values = [v for v in vars(state).values() if isinstance(v, type) and issubclass(v, state.Value)]
    return JsonPlusSerializer(allowed_msgpack_modules=values)


@contextmanager
def _sqlite(path: Path) -> Iterator[BaseCheckpointSaver[Any]]:
    from langgraph.checkpoint.sqlite import SqliteSaver

    errors = {"setting": "AGENTS_DATA_DIR", "damaged": "Delete it: its runs cannot be resumed."}

    class Saver(SqliteSaver):
        """One connection, for one thread at a time."""

        @contextmanager
        def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:  # noqa: ARG002
            # LangGraph's own commits after an error too: half of the writes of a node.
            with sqlite_errors(path, **errors), self.lock:
                self.setup()
                with self.conn, closing(self.conn.cursor()) as cursor:
                    yield cursor

    with suppress(OSError):  # SQLite reports the folder that it cannot open
        path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite_errors(path, **errors):
        connection = open_sqlite(path, busy_seconds=10)
        connection.isolation_level = "IMMEDIATE"  # the writes of a node are one transaction
    with closing(connection):
        yield Saver(connection, serde=serializer())


@contextmanager
def _postgres(address: str) -> Iterator[BaseCheckpointSaver[Any]]:
    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg import OperationalError
    from psycopg.rows import dict_row
    from psycopg_pool import ConnectionPool

    @contextmanager
    def errors() -> Iterator[None]:
        try:
            yield
        except OperationalError as error:  # also of the pool, without a connection
            reason = " ".join(str(error).split())
            raise Unavailable(f"Cannot store checkpoints: {reason}.") from None

    class Saver(PostgresSaver):
        """One connection at a time, from a pool that replaces lost ones."""

        @contextmanager
        def _cursor(self, *, pipeline: bool = False) -> Iterator[Any]:
            with errors(), super()._cursor(pipeline=pipeline) as cursor:
                yield cursor

    connection: dict[str, Any] = {"autocommit": True, "row_factory": dict_row, "connect_timeout": 5}
    options: dict[str, Any] = {"min_size": 1, "max_size": 2, "timeout": 10, "kwargs": connection}
    with ConnectionPool(address, check=ConnectionPool.check_connection, **options) as pool:
        saver = Saver(cast(Any, pool), serde=serializer())
        with errors(), pool.connection() as lock:
            # Not the function that waits: its snapshot would block CREATE INDEX CONCURRENTLY.
            query = f"SELECT 1 AS one WHERE pg_try_advisory_lock({_MIGRATION_LOCK})"
            while lock.execute(query).fetchone() is None:
                time.sleep(0.05)
            try:
                saver.setup()
            finally:
                lock.execute(f"SELECT pg_advisory_unlock({_MIGRATION_LOCK})")
        yield saver
