"""A worker process: runs the cases of the queue until SIGTERM.

    agentic-workflow worker --id worker-1     # `run_worker(config, settings, "worker-1")`

SIGTERM lets the cases in progress end. After any other death, the cases are recovered by another
worker, or when a worker with the same id starts; see `supervisor.py`.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable

from dbos import DBOS

from agentic_workflow.config import Config
from agentic_workflow.engine.desk import open_desk
from agentic_workflow.engine.queue import APP, CaseQueue, register_queue, workflow_database
from agentic_workflow.engine.supervisor import UPKEEP, Supervisor, open_worker_locks
from agentic_workflow.workflow import VERSION, HelpDesk
from seedbed.errors import ConfigError, Conflict
from seedbed.settings import Settings

DRAIN_SECONDS = 30
"""How long a worker waits after SIGTERM for the cases in progress."""
LOCK_SECONDS = 15.0
"""How long a starting worker waits until the lock of its predecessor is free."""


def run_worker(
    config: Config,
    settings: Settings,
    executor_id: str,
    *,
    version: str = VERSION,
    open_desk: Callable[[Config, Settings, CaseQueue, str], HelpDesk] = open_desk,
) -> None:
    """Work until SIGTERM.

    Ends the process with status 1 if it loses its database or its lock; `serve`, Docker or systemd
    start it again. Raises ConfigError for an invalid or reserved id ("local"), Conflict if a worker
    with the id is running, and Unavailable if the database cannot be reached at the start.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,60}", executor_id) or executor_id in ("local", UPKEEP):
        raise ConfigError(f"{executor_id!r} is not a worker id.", hint="Choose --id worker-1.")
    # 1. Take the lock before anything else: DBOS recovers what this id left unfinished.
    locks, deadline = open_worker_locks(config), time.monotonic() + LOCK_SECONDS
    while not locks.acquire(executor_id):
        if time.monotonic() > deadline:
            raise Conflict(f"A worker {executor_id!r} is running.", hint="Choose another --id.")
        time.sleep(0.25)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # 2. Start.
    queue = CaseQueue(config, version)
    desk = open_desk(config, settings, queue, executor_id)
    launch(config, executor_id, version)
    register_queue()
    DBOS.set_latest_application_version(version)
    # 3. Work until told to stop, or until the lock is lost.
    if not Supervisor(locks, queue, desk, executor_id).watch(stop):
        desk.outbox.stop()
        stop.wait(1)  # time to settle effects that have happened
        os._exit(1)
    # 4. Let the cases in progress end. Others get the lock when the process has ended.
    DBOS.destroy(workflow_completion_timeout_sec=DRAIN_SECONDS)


def launch(config: Config, executor_id: str, version: str) -> None:
    """Start DBOS in this process, as a worker of a version."""
    DBOS(
        config={
            "name": APP,
            "system_database_url": workflow_database(config),
            "application_version": version,
            "executor_id": executor_id,
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
