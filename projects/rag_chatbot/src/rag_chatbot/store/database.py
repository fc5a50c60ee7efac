"""The catalogue: one SQLite file (WAL) with all collections, documents and chunks.

Readers never wait. Writers take turns, across threads and processes, by a lock file beside it.
This module contains the tables and how to write them safely; Chroma and embeddings are elsewhere.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from rag_chatbot.store.connections import SqliteConnections
from seedbed.database.sqlite import sqlite_errors
from seedbed.errors import Busy, Unavailable

WRITE_SECONDS = 10.0  # that a change waits for the writers' lock

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS collections (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
    readers TEXT NOT NULL, writers TEXT NOT NULL,
    embedder TEXT NOT NULL, index_name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL REFERENCES collections(id),
    source TEXT NOT NULL, title TEXT NOT NULL, type TEXT NOT NULL, text TEXT NOT NULL,
    data_hash TEXT NOT NULL, path TEXT, size INTEGER, mtime_ns INTEGER, chunks INTEGER NOT NULL,
    added TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
    UNIQUE (collection_id, source));
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id INTEGER NOT NULL REFERENCES documents(id), ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL, end INTEGER NOT NULL,
    heading TEXT NOT NULL, page INTEGER, text TEXT NOT NULL, hash BLOB NOT NULL,
    UNIQUE (document_id, ordinal));
CREATE INDEX IF NOT EXISTS chunks_hash ON chunks (hash);
"""


class Database:
    """`rag.sqlite` in a folder. Connections are per thread; `transaction()` is for writing."""

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock

        self.path = folder / "rag.sqlite"
        # Autocommit; rows are tuples.
        self.connections = SqliteConnections(self.path, mmap_size=1 << 30)
        self._thread_lock = threading.RLock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file_lock = FileLock(str(folder / "write.lock"), thread_local=False)
            with self._errors():
                self.connections.get().executescript(SCHEMA)
        except OSError as error:
            raise Unavailable(
                f"Cannot keep data in {str(folder)!r}: {error.strerror or error}.",
                hint="Set RAG_DATA_DIR to a folder that you may write to.",
            ) from None

    @contextmanager
    def writing(self, timeout: float = WRITE_SECONDS) -> Iterator[None]:
        """Hold the writers' lock of this folder, across threads and processes. Reentrant.

        Hold it for a moment only: parse and embed before. Raises Busy after `timeout` seconds.
        """
        if not self._acquire(timeout):
            message = "Another upload or ingest is changing the documents."
            raise Busy(message, hint="Try again in a moment.", retry_after=5)
        try:
            yield
        finally:
            self._file_lock.release()
            self._thread_lock.release()

    def _acquire(self, timeout: float) -> bool:
        from filelock import Timeout

        deadline = time.monotonic() + timeout
        if not self._thread_lock.acquire(timeout=timeout):
            return False
        try:
            self._file_lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
        except BaseException as error:
            self._thread_lock.release()
            if isinstance(error, Timeout):
                return False
            raise
        return True

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads of the block, in this thread, see the same state of the catalogue."""
        connection = self.connections.get()
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All writes of the block, or none. A full disk raises Unavailable; nothing is lost."""
        connection = self.connections.get()
        with self._errors():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connections of all threads."""
        self.connections.close()

    def _errors(self) -> AbstractContextManager[None]:
        return sqlite_errors(
            self.path,
            setting="RAG_DATA_DIR",
            damaged="Move it away and ingest the documents again.",
        )
