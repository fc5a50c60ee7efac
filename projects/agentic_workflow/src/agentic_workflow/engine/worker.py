"""A worker process: runs the cases of the queue until it is told to stop.

    agentic-workflow worker --id worker-1               # `run_worker(config, settings, "worker-1")`
    agentic-workflow worker --id old-1 --version 1      # finishes what version 1 began, then ends

SIGTERM lets the cases in progress come to their end. Any other death is noticed by another worker,
or made good when a worker with the same id starts again; see `supervisor.py`.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dbos import DBOS

from agentic_workflow.config import Config
from agentic_workflow.engine.desk import open_desk
from agentic_workflow.engine.queue import APP, CaseQueue, register_queue, workflow_database
from agentic_workflow.engine.supervisor import Locks, Supervisor, lock_name, open_locks
from agentic_workflow.engine.upkeep import schedule_upkeep
from agentic_workflow.workflow import VERSION, HelpDesk
from seedbed.errors import ConfigError, Conflict, Unavailable
from seedbed.settings import Settings

DRAIN_SECONDS = 30
LOCK_SECONDS = 15.0
"""How long a starting worker waits for its predecessor's lock."""
OpenDesk = Callable[[Config, Settings, CaseQueue, str], HelpDesk]


def run_worker(
    config: Config,
    settings: Settings,
    executor_id: str,
    version: str | None = None,
    *,
    open_desk: OpenDesk = open_desk,
    lock_seconds: float = LOCK_SECONDS,
) -> None:
    """Work until SIGTERM; with `version`, until no case of that version is unfinished.

    Raises ConfigError for an id that is not unique ("local"), Conflict if a worker with the id
    runs already, and Unavailable if the database is away at the start.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,60}", executor_id) or executor_id == "local":
        raise ConfigError(
            f"{executor_id!r} is not a worker id.", hint="Use letters and digits: worker-1."
        )
    stop, running = threading.Event(), version or VERSION
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # 1. Take the lock before anything else: DBOS recovers what this id left unfinished.
    locks = open_locks(config)
    _acquire(locks, lock_name(executor_id, running), lock_seconds)
    # 2. Start. What a drained version leaves for later is queued for the current one.
    queue = CaseQueue(config)
    desk = open_desk(config, settings, queue, executor_id)
    launch(config, executor_id, running)
    if not version:
        DBOS.set_latest_application_version(VERSION)
        register_queue()
        schedule_upkeep(desk, queue)
    # 3. Work until told to stop, or until the lock is lost.
    if Supervisor(locks, queue, desk, executor_id, running).watch(stop, drain=bool(version)):
        desk.outbox.stop()
        _await_database(config, stop)
        desk.outbox.wait_until_settled(10.0)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    # 4. Let the cases in progress end, and only then let others have the lock.
    DBOS.destroy(workflow_completion_timeout_sec=DRAIN_SECONDS)
    queue.close()
    locks.close()


def _acquire(locks: Locks, name: str, seconds: float) -> None:
    """Wait for a lock that the server or the kernel is about to release."""
    end = time.monotonic() + seconds
    while not locks.acquire(name):
        time.sleep(0.25)
        if time.monotonic() > end:
            raise Conflict(f"A worker {name!r} is running.", hint="Choose another --id.")


def launch(config: Config, executor_id: str, version: str) -> None:
    """Start DBOS in this process, as a worker of a version."""
    DBOS(
        config={
            "name": APP,
            "system_database_url": workflow_database(config),
            "application_version": version,
            "executor_id": executor_id,
            "log_level": "WARNING",
            "scheduler_polling_interval_sec": 5.0,
        }
    )
    DBOS.launch()


def _await_database(config: Config, stop: threading.Event) -> None:
    """Wait until the database answers and the disk takes a file, or the worker is told to stop."""
    while not stop.wait(0.5):
        try:
            open_locks(config).close()
            probe = Path(config.data_dir) / f".probe-{os.getpid()}"
            probe.write_bytes(bytes(65536))
            probe.unlink()
            return
        except (Unavailable, OSError):
            continue
    sys.exit(0)
