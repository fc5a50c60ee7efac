"""A worker process: runs the cases of the queue until SIGTERM.

    agentic-workflow worker --id worker-1               # `run_worker(config, settings, "worker-1")`
    agentic-workflow worker --id old-1 --version 1      # finishes what version 1 began, then ends

SIGTERM lets the cases in progress end. Any other death is noticed by another worker, or made good
when a worker with the same id starts; see `supervisor.py`.
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
from agentic_workflow.engine.supervisor import Supervisor, lock_name, open_locks
from agentic_workflow.engine.upkeep import schedule_upkeep
from agentic_workflow.workflow import VERSION, HelpDesk
from seedbed.errors import ConfigError, Conflict, Unavailable
from seedbed.settings import Settings

DRAIN_SECONDS = 30
"""How long a worker waits after SIGTERM for the cases in progress."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOCK_SECONDS = 15.0
"""How long a starting worker waits until the lock of its predecessor is free."""


def run_worker(
    config: Config,
    settings: Settings,
    executor_id: str,
    version: str | None = None,
    *,
    open_desk: Callable[[Config, Settings, CaseQueue, str], HelpDesk] = open_desk,
    lock_seconds: float = LOCK_SECONDS,
) -> None:
    """Work until SIGTERM; with `version`, until that version has no unfinished case.

    Raises ConfigError for an id that is not unique ("local"), Conflict if a worker with the id
    is running, and Unavailable if the database is away at the start.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,60}", executor_id) or executor_id == "local":
        raise ConfigError(f"{executor_id!r} is not a worker id.", hint="Choose --id worker-1.")
    # 1. Take the lock before anything else: DBOS recovers what this id left unfinished.
    locks, end = open_locks(config), time.monotonic() + lock_seconds
    while not locks.acquire(lock_name(executor_id, version or VERSION)):
        if time.monotonic() > end:
            raise Conflict(f"A worker {executor_id!r} is running.", hint="Choose another --id.")
        time.sleep(0.25)
    stop = threading.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    # 2. Start. What an older version leaves for later is queued for the current one.
    queue = CaseQueue(config)
    desk = open_desk(config, settings, queue, executor_id)
    launch(config, executor_id, version or VERSION)
    register_queue()
    if version is None:
        DBOS.set_latest_application_version(VERSION)
        schedule_upkeep(desk, queue)
    # 3. Work until told to stop, or until the lock is lost.
    supervisor = Supervisor(locks, queue, desk, executor_id, version or VERSION)
    if supervisor.watch(stop, drain=version is not None):
        desk.outbox.stop()
        # A second for effects that happened, but could not be settled.
        if await_database(config, stop) and not stop.wait(1):
            start_again(stop)
        os._exit(0)
    # 4. Let the cases in progress end, and only then let others have the lock.
    DBOS.destroy(workflow_completion_timeout_sec=DRAIN_SECONDS)
    locks.close()


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


def start_again(stop: threading.Event) -> None:
    """Replace this process by a new one with the same arguments, unless it is to stop.

    The handlers go first: a signal that came before is in `stop`, one that comes later ends
    the process, whichever program it runs by then.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    if not stop.is_set():
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def await_database(config: Config, stop: threading.Event) -> bool:
    """Wait until the database answers and the disk has room; False if `stop` is set before."""
    probe = Path(config.data_dir) / f".probe-{os.getpid()}"
    while not stop.wait(0.5):
        try:
            open_locks(config).close()
            probe.write_bytes(bytes(65536))
            probe.unlink()
            return True
        except (Unavailable, OSError):
            continue
    return False
