"""Notices that a worker died, and lets its cases go on elsewhere.

    with open_locks(config) as locks:
        locks.acquire("worker-1")                  # False while another process has it
        Supervisor(locks, queue, desk, "worker-1", VERSION).watch(stop)

A worker holds a lock as long as it lives: an advisory lock on a Postgres session of its own, or a
locked file beside the SQLite database. Who gains the lock of a worker with unfinished cases knows
that it is dead. A worker that loses its own lock is taken for dead by the others, and stops.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dbos import DBOS

from agentic_workflow.config import Config
from agentic_workflow.engine.queue import CaseQueue
from seedbed.errors import Unavailable

if TYPE_CHECKING:
    from agentic_workflow.workflow import HelpDesk

CHECK_SECONDS = 1.0
ORPHAN_SECONDS = 10.0
"""Time after which a case of this worker that no thread of it runs makes it start again."""


class Locks(ABC):
    """Locks by name that end with this process."""

    @abstractmethod
    def acquire(self, name: str) -> bool:
        """Take a lock; False if another process has it. Raises Unavailable."""

    @abstractmethod
    def release(self, name: str) -> None:
        """Give it back."""

    @abstractmethod
    def check(self) -> None:
        """Raise Unavailable if the locks may be lost."""

    def close(self) -> None:
        """Give all back."""


class FileLocks(Locks):
    """Locked files, which the kernel unlocks when the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._files = folder, dict[str, int]()
        folder.mkdir(parents=True, exist_ok=True)

    def acquire(self, name: str) -> bool:
        """Lock the file NAME.lock."""
        path = self._folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}.lock"
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # closed by exec
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._files[name] = file
        return True

    def release(self, name: str) -> None:
        """Close the file; it remains, since another process may have opened it."""
        os.close(self._files.pop(name))

    def check(self) -> None:
        """Nothing can take a lock away."""


class PostgresLocks(Locks):
    """Advisory locks of one session, which the server ends when the connection breaks."""

    def __init__(self, url: str) -> None:
        import psycopg

        self._error = psycopg.Error
        with self._unavailable():
            self._session = psycopg.connect(
                re.sub(r"^postgres(ql)?(\+psycopg)?://", "postgresql://", url),
                autocommit=True,
                connect_timeout=5,
                keepalives_idle=2,
                keepalives_interval=2,
                keepalives_count=3,
                tcp_user_timeout=8000,
            )

    def acquire(self, name: str) -> bool:
        """Try the advisory lock with the hash of the name."""
        return bool(self._call("SELECT pg_try_advisory_lock(%s)", _number(name)))

    def release(self, name: str) -> None:
        """Unlock."""
        self._call("SELECT pg_advisory_unlock(%s)", _number(name))

    def check(self) -> None:
        """Ask the server for a sign of life."""
        self._call("SELECT %s", 1)

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _call(self, statement: str, value: int) -> object:
        with self._unavailable():
            row = self._session.execute(statement.encode(), (value,)).fetchone()
        return row[0] if row else None

    @contextmanager
    def _unavailable(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise Unavailable(f"The database connection of the lock is lost: {error}.") from None


def _number(name: str) -> int:
    digest = hashlib.sha256(f"agentic-workflow:{name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def open_locks(config: Config) -> Locks:
    """The locks that fit the database of the configuration. Raises Unavailable."""
    if config.database_url:
        return PostgresLocks(config.database_url)
    return FileLocks(Path(config.data_dir) / "locks")


class Supervisor:
    """Watches this worker's lock and the other workers of the same version."""

    def __init__(
        self, locks: Locks, queue: CaseQueue, desk: HelpDesk, executor_id: str, version: str
    ) -> None:
        self._locks, self._queue, self._desk = locks, queue, desk
        self._executor, self._version = executor_id, version
        self._orphans: dict[str, float] = {}  # workflow id: when it was first seen without thread
        self._broken = threading.Event()
        desk.restart = self._request_restart

    def watch(self, stop: threading.Event, *, drain: bool = False) -> bool:
        """Return True when this process has to start again, and False when it has to end.

        It ends when `stop` is set, or, with `drain`, when no case of the version is unfinished.
        """
        try:
            while not stop.wait(CHECK_SECONDS):
                self._locks.check()
                pending = self._queue.pending(self._version)
                if self._broken.is_set() or self._has_orphans(pending):
                    return True
                self._take_over(set(pending.values()) - {self._executor})
                if drain and not self._queue.unfinished(self._version):
                    return False
        except Unavailable as error:
            DBOS.logger.warning("%s This worker starts again when the database is back.", error)
            return True
        return False

    def _request_restart(self) -> None:
        self._broken.set()
        threading.Event().wait()  # the thread ends with this process

    def _has_orphans(self, pending: dict[str, str]) -> bool:
        """Whether a case counts as running here, but is not: DBOS could not record its end."""
        now, running = time.monotonic(), set(self._desk.running)
        idle = [f for f, owner in pending.items() if owner == self._executor and f not in running]
        self._orphans = {flow: self._orphans.get(flow, now) for flow in idle}
        return any(now - since > ORPHAN_SECONDS for since in self._orphans.values())

    def _take_over(self, executors: set[str]) -> None:
        for executor in executors:
            name = lock_name(executor, self._version)
            if self._locks.acquire(name):
                with suppress(Unavailable):
                    recover(executor)
                self._locks.release(name)


def lock_name(executor_id: str, version: str) -> str:
    """The lock of a worker. The workers of two versions may have the same id."""
    return f"{executor_id}@{version}"


def recover(executor_id: str) -> None:
    """Queue the unfinished cases of a dead worker of this version again.

    The only use of a private function of DBOS 3.4. `resume_workflow` is public, but would move a
    case out of its customer's order, and reset the count of attempts.
    """
    DBOS._recover_pending_workflows([executor_id])
