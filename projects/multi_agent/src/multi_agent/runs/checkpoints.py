"""LangGraph's savers: the state of the graph after each step, and the facts of `tools/memory.py`.

    with open_checkpointer(config) as checkpointer, open_memory(config) as memory:
        graph = builder.compile(checkpointer=checkpointer)

In SQLite files, or in Postgres. Checkpoints load no types but those of `multi_agent.runs.state`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multi_agent.runs import state
from seedbed.database.sql_engine import sql_engine
from seedbed.database.sqlite import open_sqlite, sqlite_errors
from seedbed.errors import Unavailable

if TYPE_CHECKING:
    import sqlite3

    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
    from langgraph.store.base import BaseStore

    from multi_agent.config import Config


def serializer() -> JsonPlusSerializer:
    """Loads no types but LangGraph's own and those of `multi_agent.runs.state`."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    values = [v for v in vars(state).values() if isinstance(v, type) and issubclass(v, state.Value)]
    return JsonPlusSerializer(allowed_msgpack_modules=values)


@contextmanager
def open_checkpointer(config: Config) -> Iterator[BaseCheckpointSaver[Any]]:
    """The saver for these settings, for any number of threads. Raises ConfigError, Unavailable."""
    if address := _postgres_address(config):
        from langgraph.checkpoint.postgres import PostgresSaver

        with _postgres(address) as pool:
            saver = PostgresSaver(pool, serde=serializer())
            saver.setup()
            yield saver
    else:
        from langgraph.checkpoint.sqlite import SqliteSaver

        with _sqlite(config.data_dir / "checkpoints.sqlite") as connection:
            connection.isolation_level = "IMMEDIATE"  # the writes of a node are one transaction
            yield SqliteSaver(connection, serde=serializer())


@contextmanager
def open_memory(config: Config) -> Iterator[BaseStore]:
    """LangGraph's store of facts, beside the checkpoints."""
    if address := _postgres_address(config):
        from langgraph.store.postgres import PostgresStore

        with _postgres(address) as pool:
            postgres = PostgresStore(pool)
            postgres.setup()
            yield postgres
    else:
        from langgraph.store.sqlite import SqliteStore

        with _sqlite(config.data_dir / "memory.sqlite") as connection:
            sqlite = SqliteStore(connection)
            sqlite.setup()
            yield sqlite


def _postgres_address(config: Config) -> str:
    if not config.database_url:
        return ""
    url = sql_engine(config.database_url, setting="SEEDBED_DATABASE_URL").url
    if url.drivername == "sqlite":
        return ""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def _sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    with suppress(OSError):  # SQLite reports the folder that it cannot open
        path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite_errors(path, setting="AGENTS_DATA_DIR", damaged="Delete it."):
        connection = open_sqlite(path, busy_seconds=10)
    with closing(connection):
        yield connection


@contextmanager
def _postgres(address: str) -> Iterator[Any]:
    from psycopg.rows import dict_row
    from psycopg_pool import ConnectionPool, PoolTimeout

    options: dict[str, Any] = {"autocommit": True, "row_factory": dict_row, "connect_timeout": 5}
    pool: Any = ConnectionPool(
        address,
        min_size=1,
        max_size=2,
        timeout=10,
        kwargs=options,
        check=ConnectionPool.check_connection,
        open=False,
    )
    with pool:
        try:
            pool.wait(10)
        except PoolTimeout as error:
            raise Unavailable(f"Cannot store checkpoints: {error}.") from None
        yield pool
