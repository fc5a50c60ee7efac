"""One SQLite connection per thread."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

from seedbed.database.sqlite import open_sqlite


class SqliteConnections:
    """One connection per thread to a file, opened by `open_sqlite` with these options.

    >>> connections = SqliteConnections(Path("app.sqlite"), foreign_keys=1)
    >>> connections.get() is connections.get()
    True
    """

    def __init__(self, path: Path, **options: Any) -> None:
        self._path = path
        self._options = options
        self._local = threading.local()
        self._lock = threading.Lock()
        self._by_thread: dict[threading.Thread, sqlite3.Connection] = {}

    def get(self) -> sqlite3.Connection:
        """The connection of the calling thread; opens it at the first call."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_sqlite(self._path, **self._options)
            with self._lock:
                # Servers replace idle threads: each one that ended would leak three open files.
                for thread in [t for t in self._by_thread if not t.is_alive()]:
                    self._by_thread.pop(thread).close()
                self._by_thread[threading.current_thread()] = connection
        return connection

    def close(self) -> None:
        """Close the connections of all threads. A later `get` opens a new one."""
        with self._lock:
            for connection in self._by_thread.values():
                connection.close()
            self._by_thread.clear()
        self._local = threading.local()
