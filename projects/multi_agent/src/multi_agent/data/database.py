"""Open a database for reading, and query it within limits.

    with open_database(Path("shop.sqlite")) as database:
        database.query("SELECT count(*) FROM orders").rows      # ((1204,),)

SQLite and DuckDB files are opened read-only; CSV and Parquet files are copied into a DuckDB file.
Only a single SELECT runs, without access to other files. It runs in one of a few child processes
(`engine.py`), which is killed if it takes too long or too much memory, and which closes the file
after some seconds without queries.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from queue import LifoQueue
from typing import Any

from multi_agent.data.engine import MAX_MEMORY
from multi_agent.data.schema import Schema, describe, read_schema
from seedbed.errors import BadInput, DeadlineExceeded, SeedbedError, Unavailable
from seedbed.safety.limited_process import LimitedProcess

_FILES = (".csv", ".tsv", ".parquet")
_GRACE = 0.8  # seconds after its deadline until a query is killed that its engine did not stop
_MAX_MEMORY = 600_000_000  # bytes of the child, with memory that DuckDB frees or does not count
_WORKERS = 4  # queries at the same time
_idle: LifoQueue[LimitedProcess] = LifoQueue()  # the most recently used one first
for _ in range(_WORKERS):
    _idle.put(LimitedProcess("multi_agent.data.engine:run", max_memory=_MAX_MEMORY))
_loader = LimitedProcess(
    "multi_agent.data.engine:load", action="load", max_seconds=600, max_memory=2_000_000_000
)
_numbers = count()


@dataclass(frozen=True)
class Rows:
    """The result of a query; `truncated` if it has more rows than the limit, or more than 4 MB.

    Its values are JSON data: texts, numbers, None.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    tables: tuple[str, ...] = ()
    """The tables that the query reads."""
    truncated: bool = False


class Database:
    """A database that can only be read; safe to share between threads.

    `copy` is the temporary folder of the file, deleted when the database is closed.
    """

    def __init__(
        self, name: str, file: Path, copy: tempfile.TemporaryDirectory[str] | None = None
    ) -> None:
        with file.open("rb") as stream:
            start = stream.read(16)
        self.name, self.is_duckdb, self._copy = name, start[8:12] == b"DUCK", copy
        if not self.is_duckdb and not start.startswith(b"SQLite format 3"):
            raise BadInput(
                f"{str(file)!r} is not a database.",
                hint="Use a SQLite, DuckDB, CSV or Parquet file, or a folder of CSV or Parquet.",
            )
        self._file: dict[str, Any] = {"path": str(file.absolute()), "opened": next(_numbers)}

    @cached_property
    def schema(self) -> Schema:
        """Tables, columns and keys; read at the first use."""
        return read_schema(self._select, is_duckdb=self.is_duckdb)

    @cached_property
    def description(self) -> str:
        """The schema with sample values, one line per table, for the prompt of a model.

        The values are untrusted text.
        """
        return describe(self.schema, self._select)

    def _select(self, sql: str, **limits: Any) -> tuple[tuple[Any, ...], ...]:
        return self.query(sql, **limits).rows

    def query(self, sql: str, *, seconds: float = 10.0, max_rows: int = 1000) -> Rows:
        """Run one SELECT.

        Raises BadInput with the engine's message or if it needs too much memory, DeadlineExceeded
        after `seconds`, and Unavailable if another process has locked the database.
        """
        query = {"sql": sql, "seconds": seconds, "max_rows": max_rows, **self._file}
        worker = _idle.get()
        started = time.monotonic()
        try:
            reply, _ = worker.call(b"", name=self.name, max_seconds=seconds + _GRACE, **query)
        except BadInput:  # the child process ended
            late = time.monotonic() > started + seconds
            reply = {"error": "TimeoutError" if late else "MemoryError", "message": ""}
        finally:
            _idle.put(worker)
        if "error" in reply:
            raise _translate(reply["error"], reply["message"], self.name, seconds)
        rows = tuple(map(tuple, reply["rows"]))
        return Rows(tuple(reply["columns"]), rows, tuple(reply["tables"]), reply["truncated"])

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        if self._copy:  # the database cannot be used any more
            self._copy.cleanup()


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
        database = _load_files(path.name, files) if files else Database(path.name, path)
    except OSError as error:
        raise BadInput(f"{str(path)!r} cannot be read: {error.strerror}.") from None
    if not database.schema.columns:
        raise BadInput(f"The database {str(path)!r} has no tables.")
    return database


def _load_files(name: str, files: list[Path]) -> Database:
    """CSV and Parquet files, copied into a DuckDB file in a temporary folder."""
    folder = tempfile.TemporaryDirectory(prefix="multi-agent-", ignore_cleanup_errors=True)
    target = Path(folder.name, "tables.duckdb")
    try:
        _loader.call(b"", name=name, files=[str(f.absolute()) for f in files], target=str(target))
        return Database(name, target, folder)
    except BadInput:
        folder.cleanup()
        raise


def _translate(error: str, message: str, name: str, seconds: float) -> SeedbedError:
    """An engine's error as a SeedbedError."""
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
