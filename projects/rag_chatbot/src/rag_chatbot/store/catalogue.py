"""The catalogue: one SQLite file (WAL) with all collections, documents and chunks.

    database = Database(Path("var/rag_chatbot"))
    Collections(database).require("notes", "alice", "read")

Readers never wait. Writers take turns, across threads and processes, with a lock file beside it.
A collection has access rules: to a caller that may not read it, it looks exactly like one that does
not exist.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seedbed.database.sqlite import open_sqlite, sqlite_errors
from seedbed.errors import BadInput, Busy, Forbidden, NotFound, Unavailable
from seedbed.server.callers import LOCAL, Caller

WRITE_SECONDS = 30.0  # that a change waits for the writers' lock

SCHEMA = """
CREATE TABLE IF NOT EXISTS collections (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
    readers TEXT NOT NULL, writers TEXT NOT NULL, index_name TEXT NOT NULL UNIQUE);
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
    heading TEXT NOT NULL, page INTEGER, text TEXT NOT NULL, cuts INTEGER NOT NULL,
    UNIQUE (document_id, ordinal));
"""


class Database:
    """`rag.sqlite` in a folder. Connections are per thread; `transaction()` is for writing."""

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock

        self.path = folder / "rag.sqlite"
        self._local = threading.local()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file_lock = FileLock(str(folder / "write.lock"), poll_interval=0.01)
            with self._errors():
                self.connection.executescript(SCHEMA)
        except OSError as error:
            raise Unavailable(
                f"Cannot keep data in {str(folder)!r}: {error.strerror or error}.",
                hint="Set RAG_DATA_DIR to a folder that you may write to.",
            ) from None

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the calling thread, in autocommit mode; closed when the thread ends."""
        if not hasattr(self._local, "connection"):
            self._local.connection = open_sqlite(self.path, mmap_size=1 << 30)
        connection: sqlite3.Connection = self._local.connection
        return connection

    def close(self) -> None:
        """Close the connections of all threads; later calls open new ones."""
        self._local = threading.local()

    @contextmanager
    def writing(self, timeout: float = WRITE_SECONDS) -> Iterator[None]:
        """Hold the writers' lock of this folder, across threads and processes. Reentrant.

        Hold it for a moment only: parse and embed before. Raises Busy after `timeout` seconds.
        """
        from filelock import Timeout

        try:
            self._file_lock.acquire(timeout=timeout)
        except Timeout:
            message = "Another upload or ingest is changing the documents."
            raise Busy(message, hint="Try again in a moment.", retry_after=5) from None
        try:
            yield
        finally:
            self._file_lock.release()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit all writes of the block, or none. A full disk raises Unavailable."""
        connection = self.connection
        with self._errors():
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    def _errors(self) -> AbstractContextManager[None]:
        return sqlite_errors(
            self.path,
            setting="RAG_DATA_DIR",
            damaged="Move it away and ingest the documents again.",
        )


# Collections

Action = Literal["read", "write"]


OPERATOR = Caller("*", operator=True)
"""The person who runs commands on this machine, and may use every collection. No API key has this
name."""

PREFIX = "seedbed-"  # of our names in Chroma, which other programs may use too
_COLUMNS = "id, name, readers, writers, index_name"


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of documents with access rules.

    `readers` and `writers` are names of callers, `group:NAME`, or `"*"` for every caller.

    Without `writers` it is the operator's, see `Config.writers`. Names in Chroma begin with
    `index_name`.
    """

    id: int
    name: str
    readers: tuple[str, ...]
    writers: tuple[str, ...]
    index_name: str

    @property
    def fts(self) -> str:
        """Its full-text table. One for each collection, so that scores don't depend on others."""
        return f"fts_{self.id}"


class Collections:
    """The table of collections in one database."""

    def __init__(self, database: Database, writers: Sequence[str] = ()) -> None:
        """`writers` are the callers that may change the operator's collections."""
        self.database = database
        self.writers = (LOCAL.name, *writers)

    def create(
        self, name: str, readers: Sequence[str] = ("*",), writers: Sequence[str] = ()
    ) -> Collection:
        """Create a collection, or return the existing one with its rules unchanged.

        Without `writers` it is the operator's, see `Config.writers`. Raises BadInput for a name
        that is empty, over 200 characters or not printable.
        """
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise BadInput(
                f"Invalid collection name {name[:60]!r}.", hint="Use 1 to 200 printable characters."
            )
        with self.database.writing(), self.database.transaction() as db:
            index_name = f"{PREFIX}{uuid.uuid4().hex}"  # Chroma's names allow few characters
            created = db.execute(
                f"INSERT OR IGNORE INTO collections ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?)",
                (name, json.dumps([*readers]), json.dumps([*writers]), index_name),
            )
            if created.rowcount:
                db.execute(
                    f"CREATE VIRTUAL TABLE fts_{created.lastrowid} USING fts5"
                    "(title, heading, body, tokenize='porter unicode61')"
                )
        return self.get(name)

    def get(self, name: str) -> Collection:
        """The collection, without a check of access. Raises NotFound."""
        return self.require(name, OPERATOR, "read")

    def require(self, name: str, caller: Caller, action: Action) -> Collection:
        """The collection, if `caller` may do this with it.

        Raises the same NotFound whether it does not exist or the caller may not read it, and
        Forbidden for one that it may read but not write.
        """
        db = self.database.connection
        row = db.execute(f"SELECT {_COLUMNS} FROM collections WHERE name = ?", (name,)).fetchone()
        if row is not None:
            collection = _collection(row)
            can_read = allows(collection.readers, caller)
            can_write = allows(collection.writers or self.writers, caller)
            if can_write if action == "write" else can_read:
                return collection
            if can_read:
                raise Forbidden(
                    f"Collection {name!r} is read-only for this API key.",
                    hint="The operator of the server can change that, see RAG_WRITERS.",
                )
        raise NotFound(
            f"Unknown collection {name[:200]!r}, or no permission to {action} it.",
            hint="List yours: rag-chatbot collections list, or GET /v1/collections.",
        )

    def all(self, caller: Caller = OPERATOR) -> list[Collection]:
        """All collections that `caller` may read, in alphabetical order."""
        db = self.database.connection
        rows = db.execute(f"SELECT {_COLUMNS} FROM collections ORDER BY name")
        return [c for c in map(_collection, rows) if allows(c.readers, caller)]

    def names(self, caller: Caller = OPERATOR) -> list[str]:
        """The names of `all`."""
        return [collection.name for collection in self.all(caller)]


def allows(names: Sequence[str], caller: Caller) -> bool:
    """Whether an access rule includes this caller, see `Caller.is_in`."""
    return caller is OPERATOR or caller.is_in(names)


def _collection(row: tuple[int, str, str, str, str]) -> Collection:
    number, name, readers, writers, index = row
    return Collection(number, name, tuple(json.loads(readers)), tuple(json.loads(writers)), index)
