"""Locks that a process holds as long as it lives, for processes on one machine or on several.

    locks = open_locks(config.database_url, Path("var/app/locks"), "my-app")
    if locks.acquire("upkeep"):    # False if another process has it
        ...

They are advisory locks of a session on Postgres, and locked files without a database server.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from seedbed.database.database import lock_number
from seedbed.errors import Unavailable


class FileLocks:
    """Locked files, which the kernel unlocks when the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._files = folder, dict[str, IO[bytes]]()
        folder.mkdir(parents=True, exist_ok=True)

    def acquire(self, name: str) -> bool:
        """Take a lock; False if another process has it."""
        file = (self._folder / f"{name}.lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._files[name] = file
        return True

    def release(self, name: str) -> None:
        """Give a lock back. The file remains, since another process may have opened it."""
        self._files.pop(name).close()

    def check(self) -> None:
        """Nothing can take a file lock away."""


class PostgresLocks:
    """Advisory locks of one session; every method raises Unavailable if the session is lost."""

    def __init__(self, url: str, project: str) -> None:
        import psycopg

        self._project = project
        self._error, url = psycopg.Error, "postgresql" + url[url.index("://") :]
        try:
            self._session = psycopg.connect(
                url, autocommit=True, connect_timeout=5, keepalives_idle=5, keepalives_interval=2
            )
        except psycopg.Error as error:
            raise Unavailable(f"Cannot connect to the database: {error}.") from None

    def acquire(self, name: str) -> bool:
        return self._call("pg_try_advisory_lock", name)

    def release(self, name: str) -> None:
        self._call("pg_advisory_unlock", name)

    def check(self) -> None:
        self._call("abs", "alive")

    def _call(self, function: str, name: str) -> bool:
        number = lock_number(f"{self._project}:{name}")
        try:
            row = self._session.execute(f"SELECT {function}({number})".encode()).fetchone()
        except self._error as error:
            raise Unavailable(f"The session with this process's locks is lost: {error}.") from None
        return bool(row and row[0])


Locks = FileLocks | PostgresLocks


def open_locks(url: str | None, folder: Path, project: str) -> Locks:
    """The project's locks in a Postgres database, or in a folder without a URL.

    Raises Unavailable.
    """
    return PostgresLocks(url, project) if url else FileLocks(folder)
