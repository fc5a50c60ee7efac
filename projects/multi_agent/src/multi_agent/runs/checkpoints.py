"""LangGraph's savers: the state of the graph after each step, and the facts of `tools/memory.py`.

    with open_checkpointer(config) as checkpointer, open_memory(config) as memory:
        graph = builder.compile(checkpointer=checkpointer)

In SQLite files, or in Postgres. Checkpoints load no types but those of `multi_agent.runs.state`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from multi_agent.runs import state
from seedbed.database.sql_engine import sql_engine
from seedbed.database.sqlite import open_sqlite, sqlite_errors

if TYPE_CHECKING:
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
    from langgraph.checkpoint.postgres import PostgresSaver
    from langgraph.checkpoint.sqlite import SqliteSaver

    with _connection(config, "checkpoints.sqlite") as (connection, is_postgres):
        if is_postgres:
            saver = PostgresSaver(connection, serde=serializer())
            saver.setup()
            yield saver
        else:
            connection.isolation_level = "IMMEDIATE"  # the writes of a node are one transaction
            yield SqliteSaver(connection, serde=serializer())


@contextmanager
def open_memory(config: Config) -> Iterator[BaseStore]:
    """LangGraph's store of facts, in the same place."""
    from langgraph.store.postgres import PostgresStore
    from langgraph.store.sqlite import SqliteStore

    with _connection(config, "memory.sqlite") as (connection, is_postgres):
        store = PostgresStore(connection) if is_postgres else SqliteStore(connection)
        store.setup()
        yield store


@contextmanager
def _connection(config: Config, file: str) -> Iterator[tuple[Any, bool]]:
    """A pool of connections to Postgres, and True; or a connection to a SQLite file, and False."""
    engine = sql_engine(config.database_url or config.data_dir / file)
    if engine.dialect.name != "sqlite":
        from psycopg.rows import dict_row
        from psycopg_pool import ConnectionPool

        options: dict[str, Any] = {"autocommit": True, "row_factory": dict_row}
        address = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        limits: dict[str, Any] = {"min_size": 1, "max_size": 2, "timeout": 10}
        check = ConnectionPool.check_connection
        with ConnectionPool(address, kwargs=options, check=check, **limits) as pool:
            yield pool, True
        return
    path = config.data_dir / file
    with suppress(OSError):  # SQLite reports the folder that it cannot open
        path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite_errors(path, setting="AGENTS_DATA_DIR", damaged="Delete it."):
        connection = open_sqlite(path, busy_seconds=10)
    with closing(connection):
        yield connection, False
