"""The workers that `serve` starts beside the web server.

    with workers(config, count=1):
        ...

They are processes of their own, which are started again when they end, and end with this process,
however it ends.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from agentic_workflow.config import Config

RESTART_SECONDS = 1.0
_log = logging.getLogger(__name__)


@contextmanager
def workers(config: Config, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Keep `count` worker processes running; they are stopped at the end.

    Yields the processes; one that ended is replaced in the list by its successor.
    """
    stop, environment = threading.Event(), {**os.environ, **_variables(config)}
    processes = [_start(number, environment) for number in range(1, count + 1)]

    def watch(index: int) -> None:
        while not stop.is_set():
            code = processes[index].wait()
            if stop.wait(RESTART_SECONDS):
                return
            _log.warning("worker-%d ended with status %d and is started again.", index + 1, code)
            processes[index] = _start(index + 1, environment)

    threads = [threading.Thread(target=watch, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield processes
    finally:
        stop.set()
        for process in processes:
            process.terminate()
        for process in processes:
            process.communicate()  # closes the pipe, and waits


def _start(number: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "agentic_workflow", "worker", "--id", f"worker-{number}"]
    # The worker ends when this end of the pipe is closed, also by the death of this process.
    return subprocess.Popen([*command, "--with-parent"], stdin=subprocess.PIPE, env=environment)


def _variables(config: Config) -> dict[str, str]:
    """The settings that a worker has to share, as environment variables."""
    values = {name: getattr(config, field) for field, name in config.PARTS.items()}
    values |= {"WORKFLOW_DATA_DIR": config.data_dir.absolute()}
    return {name: str(value) for name, value in values.items() if value}
