"""Open a database for reading, and query it within limits.

    with open_database(Path("shop.sqlite")) as database:
        database.query("SELECT count(*) FROM orders").rows      # ((1204,),)

SQLite and DuckDB files are opened read-only; CSV and Parquet files are copied into a DuckDB file.
Only a single SELECT runs, without access to other files. It runs in a child process (`engine.py`),
which is killed if it takes too long or too much memory, and which closes the file after some
seconds without queries.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from multi_agent.data.description import describe
from multi_agent.data.engine import MAX_MEMORY
from multi_agent.data.schema import Schema, read_columns
from seedbed.errors import BadInput, DeadlineExceeded, SeedbedError, Unavailable
from seedbed.safety.limited_process import LimitedProcess

_FILES = (".csv", ".tsv", ".parquet")
_GRACE = 0.8  # seconds until a query is killed that its engine has not stopped
_MAX_MEMORY = 600_000_000  # bytes of the child: also what DuckDB does not count, and has freed
_queries = LimitedProcess("multi_agent.data.engine:run", max_memory=_MAX_MEMORY)
_loader = LimitedProcess(
    "multi_agent.data.load:load", action="load", max_seconds=600, max_memory=2_000_000_000
)
_numbers = count()


@dataclass(frozen=True)
class Rows:
    """The result of a query; `truncated` if it has more rows than the limit, or more than 4 MB."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool = False
    tables: frozenset[str] = frozenset()
    """The tables that the query reads."""


class Database:
    """A database that can only be read; safe to share between threads."""

    def __init__(self, name: str, file: Path, *, is_duckdb: bool) -> None:
        self.name, self.is_duckdb = name, is_duckdb
        self._file: dict[str, Any] = {"path": str(file.absolute()), "opened": next(_numbers)}

    @cached_property
    def schema(self) -> Schema:
        """Tables, columns, keys and sample values; read at the first use."""
        columns, keys = read_columns(self)
        return Schema(columns, keys, describe(self, columns, keys))

    def query(self, sql: str, *, seconds: float = 10.0, max_rows: int = 1000) -> Rows:
        """Run one SELECT.

        Raises BadInput with the engine's message or if it needs too much memory, DeadlineExceeded
        after `seconds`, and Unavailable if another process has locked the database.
        """
        query = {"sql": sql, "seconds": seconds, "max_rows": max_rows, **self._file}
        started = time.monotonic()
        try:
            reply, _ = _queries.call(b"", name=self.name, max_seconds=seconds + _GRACE, **query)
        except BadInput:  # the child process ended
            late = time.monotonic() > started + seconds
            reply = {"error": "TimeoutError" if late else "MemoryError", "message": ""}
        if "error" in reply:
            raise _translated(reply["error"], reply["message"], self.name, seconds)
        columns, rows, tables = reply["columns"], reply["rows"], reply["tables"]
        return Rows(tuple(columns), tuple(map(tuple, rows)), reply["truncated"], frozenset(tables))

    def close(self) -> None:
        """Delete temporary files; the database cannot be used any more."""

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _LoadedFiles(Database):
    """CSV and Parquet files, copied into a DuckDB file in a temporary folder."""

    def __init__(self, name: str, files: list[Path]) -> None:
        folder = tempfile.mkdtemp(prefix="multi-agent-")
        self._delete = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        target = Path(folder, "tables.duckdb")
        sources = [str(file.absolute()) for file in files]
        _loader.call(b"", name=name, files=sources, target=str(target))
        super().__init__(name, target, is_duckdb=True)

    def close(self) -> None:
        self._delete()


def open_database(path: Path) -> Database:
    """Open a SQLite or DuckDB file, a CSV or Parquet file, or a folder of those.

    Raises BadInput if it is none of these and Unavailable if it is locked.
    """
    if not path.exists():
        raise BadInput(f"No such file: {str(path)!r}.", hint="Set AGENTS_DATABASE.")
    candidates = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in candidates if file.suffix.lower() in _FILES]
    if path.is_dir() and not files:
        raise BadInput(f"The folder {str(path)!r} has no CSV or Parquet files.")
    try:
        database = _LoadedFiles(path.name, files) if files else _open_file(path)
    except OSError as error:
        raise BadInput(f"{str(path)!r} cannot be read: {error.strerror}.") from None
    if not read_columns(database)[0]:
        raise BadInput(f"The database {str(path)!r} has no tables.")
    return database


def _open_file(path: Path) -> Database:
    with path.open("rb") as file:
        start = file.read(16)
    if not start.startswith(b"SQLite format 3") and start[8:12] != b"DUCK":
        raise BadInput(
            f"{str(path)!r} is not a database.",
            hint="Use a SQLite, DuckDB, CSV or Parquet file, or a folder of CSV or Parquet files.",
        )
    return Database(path.name, path, is_duckdb=start[8:12] == b"DUCK")


def _translated(error: str, message: str, name: str, seconds: float) -> SeedbedError:
    """The error of this package for one of an engine."""
    if error in ("SQLITE_INTERRUPT", "InterruptException", "TimeoutError"):
        message = f"The query took more than {seconds:g} s and was stopped."
        return DeadlineExceeded(message, hint="Ask for less data.")
    if error == "MemoryError":
        message = f"The query needs more than {MAX_MEMORY / 1e6:.0f} MB of memory."
        return BadInput(message, hint="Ask for less data.")
    if error == "SQLITE_TOOBIG":
        return BadInput("A value is larger than 1 MB.", hint="Select other columns, or length().")
    if error in ("SQLITE_BUSY", "SQLITE_LOCKED") or "Could not set lock" in message:
        return Unavailable(f"The database {name!r} is locked by another process.")
    if error in ("SQLITE_AUTH", "SQLITE_READONLY"):
        return BadInput("Only SELECT is allowed: the database is opened for reading.")
    return BadInput(f"{name}: {message}")
