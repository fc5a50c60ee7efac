"""Detects dead workers and hands their cases to live ones.

    locks = open_worker_locks(config)
    locks.acquire("worker-1")                  # False while another process has it
    Supervisor(locks, queue, desk, "worker-1").watch(stop)

A worker holds a lock as long as it lives: an advisory lock on a Postgres session of its own, or a
locked file beside the SQLite database. A worker that gains the lock of another with unfinished
cases takes these over: the other is dead. One that loses its own lock must stop, as the others
assume that it has died.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dbos import DBOS

from agentic_workflow.config import Config
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.engine.upkeep import Upkeep
from seedbed.database.locks import Locks, open_locks
from seedbed.errors import Unavailable

if TYPE_CHECKING:
    from agentic_workflow.workflow import HelpDesk

CHECK_SECONDS, UPKEEP_SECONDS = 1.0, 10.0
ENDED_CHECKS = 10  # checks until a workflow that ended here counts as not recorded
UPKEEP = "upkeep"  # the lock of the worker that does it


def open_worker_locks(config: Config) -> Locks:
    """The locks that fit the configured database. Raises Unavailable."""
    return open_locks(config.database_url, Path(config.data_dir) / "locks", "agentic-workflow")


class Supervisor:
    """Watches this worker's lock and the other workers; one of them does the upkeep."""

    def __init__(self, locks: Locks, queue: CaseQueue, desk: HelpDesk, executor_id: str) -> None:
        self._locks, self._queue, self._desk, self._executor = locks, queue, desk, executor_id
        self._upkeep, self._does_upkeep = Upkeep(desk, queue), False
        self._ended = dict[str, int]()  # checks in which a pending workflow did not run here

    def watch(self, stop: threading.Event) -> bool:
        """Return True when `stop` is set, and False when this process has to end at once."""
        upkeep_at = 0.0
        try:
            while not stop.wait(CHECK_SECONDS):
                self._locks.check()
                if self._desk.broken.is_set():
                    return False
                pending = self._queue.pending()
                if self._unrecorded({id for id in pending if pending[id] == self._executor}):
                    return False
                for executor in set(pending.values()) - {self._executor}:
                    if self._locks.acquire(executor):
                        # The only use of a private function of DBOS 3.4. `resume_workflow` is
                        # public, but would take a case out of its customer's order, and reset the
                        # count of attempts.
                        DBOS._recover_pending_workflows([executor])
                        self._locks.release(executor)
                if time.monotonic() >= upkeep_at:
                    upkeep_at = time.monotonic() + UPKEEP_SECONDS
                    self._do_upkeep()
        except Unavailable as error:
            DBOS.logger.warning(f"{error} This worker ends.")
            return False
        return True

    def _unrecorded(self, pending: set[str]) -> bool:
        """Whether a workflow ended in this process, but DBOS could not record that.

        DBOS tries once, which fails e.g. on a full disk. The customer's next case would wait until
        a new process recovers this one.
        """
        ended = pending - self._desk.running
        self._ended = {id: self._ended.get(id, 0) + 1 for id in ended}
        return max(self._ended.values(), default=0) >= ENDED_CHECKS

    def _do_upkeep(self) -> None:
        self._does_upkeep = self._does_upkeep or self._locks.acquire(UPKEEP)
        try:
            if self._does_upkeep:
                self._upkeep.run(datetime.now(UTC))
        except Unavailable:
            raise
        except Exception:  # the next run tries again
            DBOS.logger.exception("The upkeep failed.")
