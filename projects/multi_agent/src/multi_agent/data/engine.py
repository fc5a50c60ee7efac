"""Runs one SELECT over a database file: what happens in the child process of `database.py`.

    run(b"", path="shop.sqlite", opened=1, sql="SELECT 1", seconds=10, max_rows=1000)
    # ({"columns": ["1"], "rows": [[1]], "truncated": False, "tables": []}, b"")

The engines' own limits should trigger first: they keep the process alive. The process has its own,
because no engine bounds all of its functions. With limits of 5 s and 256 MB, DuckDB took 13 s and
4.7 GB for `SELECT range(200000000)`, and SQLite 13 s for one `instr` of texts of 1 MB.
"""

from __future__ import annotations

import math
import re
import sqlite3
import threading
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from multi_agent.data.schema import quoted
from seedbed.errors import BadInput

MAX_MEMORY = 250_000_000  # bytes that an engine may use, as far as it counts them
_NULLS = ["", "NA", "N/A", "n/a", "NULL", "null", "None", "NaN", "nan"]  # in CSV files
_MAX_CELL = 1_000_000  # bytes of one value that SQLite may read or build
_MAX_RESULT = 4_000_000  # characters of all values of a result
_READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
_PRAGMAS = ("table_list", "table_xinfo", "foreign_key_list")
_NO_MEMORY = ("MemoryError", "OutOfMemoryException", "RuntimeError")  # last: no memory for a thread
_engines: dict[tuple[str, int], _SQLite | _DuckDB] = {}  # at most one: the open one


def run(
    _: bytes, *, path: str, opened: int, sql: str, seconds: float, max_rows: int
) -> tuple[dict[str, Any], bytes]:
    """Run one SELECT; an error is returned by its name, such as SQLITE_BUSY, and its first line.

    The file stays open until a query fails, or comes with another `path` or `opened`.
    """
    try:
        if (path, opened) not in _engines:
            _close()
            _engines[path, opened] = _open(path)
        return _engines[path, opened].run(sql, seconds, max_rows), b""
    except Exception as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if name in _NO_MEMORY:
            raise MemoryError from None  # ends this process, which may not have freed everything
        _close()  # DuckDB refuses to work on after some of its errors
        return {"error": name, "message": str(error).split("\n")[0]}, b""


def _open(path: str) -> _SQLite | _DuckDB:
    with Path(path).open("rb") as file:
        return _SQLite(path) if file.read(6) == b"SQLite" else _DuckDB(path)


def _close() -> None:
    while _engines:
        _engines.popitem()[1].connection.close()


class _SQLite:
    def __init__(self, path: str) -> None:
        uri = f"file:{quote(path)}?mode=ro"
        # Without a cache, every query is authorized, and so shows the tables that it reads.
        self.connection = sqlite3.connect(uri, uri=True, cached_statements=0, timeout=2)
        self.connection.execute(f"PRAGMA hard_heap_limit = {MAX_MEMORY}")
        self.connection.execute("PRAGMA temp_store = MEMORY")  # or sorting may fill the disk
        self.connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_CELL)
        self.connection.text_factory = lambda data: data.decode("utf-8", "replace")
        self.connection.set_authorizer(self._authorize)
        self._tables: set[str] = set()

    def run(self, sql: str, seconds: float, max_rows: int) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        self.connection.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        self._tables.clear()
        with closing(self.connection.execute(sql)) as cursor:
            if cursor.description is None:
                raise ValueError("Only SELECT is allowed.")
            return _fetch(cursor, deadline, max_rows) | {"tables": sorted(self._tables)}

    def _authorize(self, action: int, name: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ and name:
            self._tables.add(name)
        allowed = action in _READING or (action == sqlite3.SQLITE_PRAGMA and name in _PRAGMAS)
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


class _DuckDB:
    def __init__(self, path: str) -> None:
        import duckdb

        limits: dict[str, Any] = {
            "threads": 2,
            "memory_limit": f"{MAX_MEMORY}B",
            "temp_directory": "",
        }
        self.connection = duckdb.connect(path, read_only=True, config=limits)
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute("SET lock_configuration = true")

    def run(self, sql: str, seconds: float, max_rows: int) -> dict[str, Any]:
        import duckdb

        deadline = time.monotonic() + seconds
        statements = duckdb.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise ValueError("Only a single SELECT is allowed.")
        tables = self.connection.get_table_names(sql)
        with self.connection.cursor() as cursor:  # closed with the rows that are not fetched
            timer = threading.Timer(seconds, cursor.interrupt)
            timer.start()
            try:
                cursor.execute(statements[0])
                return _fetch(cursor, deadline, max_rows) | {"tables": sorted(tables)}
            finally:
                timer.cancel()


def _fetch(cursor: Any, deadline: float, max_rows: int) -> dict[str, Any]:
    columns = [column[0] for column in cursor.description]
    rows: list[list[Any]] = []
    size = 0
    while (row := cursor.fetchone()) is not None:
        if time.monotonic() > deadline:  # SQLite calls its handler only every 10,000 steps
            raise TimeoutError
        rows.append([_plain(value) for value in row])
        size += sum(len(str(value)) for value in rows[-1])
        if len(rows) > max_rows or size > _MAX_RESULT:
            if len(rows) == 1:
                raise ValueError("A row of the result is too long. Select fewer columns.")
            return {"columns": columns, "rows": rows[:-1], "truncated": True}
    return {"columns": columns, "rows": rows, "truncated": False}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    return value if isinstance(value, str | int | None) else str(value)


def load(_: bytes, *, files: list[str], target: str) -> tuple[None, bytes]:
    """Copy CSV and Parquet files into a DuckDB file, one table per file."""
    import duckdb

    limits: dict[str, Any] = {"threads": 2, "memory_limit": f"{MAX_MEMORY}B"}
    with duckdb.connect(target, config=limits) as connection:
        for file in map(Path, files):
            table = quoted(re.sub(r"\W+", "_", file.stem).strip("_") or "data")
            try:
                if file.suffix.lower() == ".parquet":
                    connection.read_parquet(str(file)).create(table)
                else:
                    connection.execute(
                        f"CREATE TABLE {table} AS SELECT * FROM read_csv($file, header = true,"
                        " nullstr = $nulls, sample_size = -1)",  # types are inferred from all rows
                        {"file": str(file), "nulls": _NULLS},
                    )
            except duckdb.Error as error:
                raise BadInput(f"{file.name}: {str(error).splitlines()[0]}") from None
    return None, b""
