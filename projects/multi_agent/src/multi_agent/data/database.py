"""Open a database of someone else for reading, and query it within limits.

    with open_database(Path("shop.sqlite")) as database:
        database.query("SELECT count(*) FROM orders").rows      # ((1204,),)

SQLite and DuckDB files are opened read-only; CSV and Parquet files are loaded into DuckDB, which is
then cut off from the file system. Only a single SELECT runs, with a time and a row limit.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from multi_agent.data.schema import Schema, read_schema
from seedbed.errors import BadInput, DeadlineExceeded, SeedbedError, Unavailable

if TYPE_CHECKING:
    import duckdb

_READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
_PRAGMAS = ("table_info", "foreign_key_list")
_MAX_CELL = 10_000_000  # bytes of one value that SQLite may build
_READERS = {".csv": "read_csv", ".tsv": "read_csv", ".parquet": "read_parquet"}


@dataclass(frozen=True)
class Rows:
    """The result of a query; `truncated` if there were more rows than the limit."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool = False
    tables: frozenset[str] = frozenset()
    """The tables that the query reads."""


_Result = tuple[Sequence[str], list[Any], frozenset[str]]  # columns, rows, tables


class _Engine(Protocol):
    def run(self, sql: str, seconds: float, max_rows: int) -> _Result: ...
    def close(self) -> None: ...


class Database:
    """A database that can only be read; safe to share between threads."""

    def __init__(self, name: str, engine: _Engine) -> None:
        self.name = name
        self.is_duckdb = isinstance(engine, _DuckDB)
        self._engine = engine
        self._lock = threading.Lock()

    @cached_property
    def schema(self) -> Schema:
        """Tables, columns, keys and sample values; read once."""
        return read_schema(self)

    def query(self, sql: str, *, seconds: float = 10.0, max_rows: int = 1000) -> Rows:
        """Run one SELECT.

        Raises BadInput with the engine's message, DeadlineExceeded after `seconds`, and Unavailable
        if another process has locked the database.
        """
        with self._lock:
            try:
                columns, rows, tables = self._engine.run(sql, seconds, max_rows + 1)
            except SeedbedError:
                raise
            except Exception as error:  # the engines raise dozens of types
                raise _translated(error, self.name, seconds) from None
        plain = tuple(tuple(map(_plain, row)) for row in rows[:max_rows])
        return Rows(tuple(columns), plain, len(rows) > max_rows, tables)

    def close(self) -> None:
        """Close the file."""
        self._engine.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_database(path: Path) -> Database:
    """Open a SQLite or DuckDB file, a CSV or Parquet file, or a folder of those.

    Raises BadInput if it is none of these and Unavailable if it is locked.
    """
    if not path.exists():
        raise BadInput(f"No such file: {str(path)!r}.", hint="Set AGENTS_DATABASE.")
    try:
        engine = _engine(path)
        database = Database(path.name, engine)
        if not database.schema.columns:
            raise BadInput(f"The database {str(path)!r} has no tables.")
    except SeedbedError:
        raise
    except Exception as error:
        raise _translated(error, path.name, 0) from None
    return database


def _engine(path: Path) -> _Engine:
    files = sorted(p for p in path.glob("*") if p.suffix.lower() in _READERS)
    if path.is_dir():
        if not files:
            raise BadInput(f"The folder {str(path)!r} has no CSV or Parquet files.")
        return _DuckDB.load(files)
    if path.suffix.lower() in _READERS:
        return _DuckDB.load([path])
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"SQLite format 3"):
        return _SQLite(path)
    if start[8:12] == b"DUCK":
        return _DuckDB.open(path)
    raise BadInput(
        f"{str(path)!r} is not a database.",
        hint="Use a SQLite, DuckDB, CSV or Parquet file, or a folder of CSV or Parquet files.",
    )


class _SQLite:
    def __init__(self, path: Path) -> None:
        uri = f"file:{quote(str(path.absolute()))}?mode=ro"
        options: Any = {"check_same_thread": False, "timeout": 2}
        # Without a cache, every query is authorized, and so shows the tables that it reads.
        self._connection = sqlite3.connect(uri, uri=True, cached_statements=0, **options)
        self._tables: set[str] = set()
        self._connection.text_factory = lambda data: data.decode("utf-8", "replace")
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_CELL)
        self._connection.set_authorizer(self._authorize)

    def run(self, sql: str, seconds: float, max_rows: int) -> _Result:
        deadline = time.monotonic() + seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        self._tables.clear()
        cursor = self._connection.execute(sql)
        if cursor.description is None:
            raise BadInput("Only SELECT is allowed.")
        with closing(cursor):
            columns = [column[0] for column in cursor.description]
            return columns, cursor.fetchmany(max_rows), frozenset(self._tables)

    def _authorize(self, action: int, name: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ and name:
            self._tables.add(name)
        allowed = action in _READING or (action == sqlite3.SQLITE_PRAGMA and name in _PRAGMAS)
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    def close(self) -> None:
        self._connection.close()


class _DuckDB:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        for setting in ("enable_external_access=false", "threads=2", "lock_configuration=true"):
            connection.execute(f"SET {setting}")

    @classmethod
    def open(cls, path: Path) -> _DuckDB:
        import duckdb

        return cls(duckdb.connect(str(path), read_only=True))

    @classmethod
    def load(cls, files: Sequence[Path]) -> _DuckDB:
        """Copy CSV and Parquet files into memory, one table per file."""
        import duckdb

        connection = duckdb.connect()
        for file in files:
            table = re.sub(r"\W+", "_", file.stem).strip("_") or "data"
            reader = _READERS[file.suffix.lower()]
            connection.execute(f'CREATE TABLE "{table}" AS FROM {reader}(?)', [str(file)])
        return cls(connection)

    def run(self, sql: str, seconds: float, max_rows: int) -> _Result:
        import duckdb

        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise BadInput("Only a single SELECT is allowed.")
        tables = frozenset(self._connection.get_table_names(sql))
        timer = threading.Timer(seconds, self._connection.interrupt)
        timer.start()
        try:
            self._connection.execute(statements[0])
            description = self._connection.description or []
            rows = self._connection.fetchmany(max_rows)
            return [column[0] for column in description], rows, tables
        finally:
            timer.cancel()

    def close(self) -> None:
        self._connection.close()


def _translated(error: Exception, name: str, seconds: float) -> SeedbedError:
    message = str(error).split("\n")[0]
    if "interrupt" in message.lower():
        return DeadlineExceeded(
            f"The query took more than {seconds:g} s and was stopped.", hint="Ask for less data."
        )
    if re.search(r"is locked|set lock|busy", message):
        return Unavailable(f"The database {name!r} is locked by another process.")
    if "not authorized" in message or "readonly" in message:
        return BadInput("Only SELECT is allowed: the database is opened for reading.")
    return BadInput(f"{name}: {message}")


def _plain(value: Any) -> Any:
    """A JSON value."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, Decimal):
        return float(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
