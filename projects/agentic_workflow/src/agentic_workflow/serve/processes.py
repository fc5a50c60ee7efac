"""The workers that `serve` starts beside the web server.

    with workers(config, count=1):
        ...

They are separate processes, which are restarted when they end. They end with this process, however
it ends.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from agentic_workflow.config import Config

POLL_SECONDS, RESTART_SECONDS = 0.2, 1.0
_log = logging.getLogger(__name__)


@contextmanager
def workers(config: Config, count: int) -> Iterator[None]:
    """Keep `count` worker processes running; they are stopped at the end."""
    stop, environment = threading.Event(), {**os.environ, **_variables(config)}

    def keep_running(number: int) -> None:
        command = [sys.executable, "-m", "agentic_workflow", "worker", "--with-parent"]
        command += ["--id", f"worker-{number}"]
        while not stop.is_set():
            worker = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
            while worker.poll() is None and not stop.wait(POLL_SECONDS):
                pass
            worker.terminate()
            worker.communicate()  # closes the pipe, as the death of this process would
            if not stop.wait(RESTART_SECONDS):
                _log.warning("worker-%d ended and is started again.", number)

    threads = [threading.Thread(target=keep_running, args=(n + 1,)) for n in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _variables(config: Config) -> dict[str, str]:
    """The settings that a worker has to share, as environment variables."""
    values = {name: getattr(config, field) for field, name in config.PARTS.items()}
    values |= {"WORKFLOW_DATA_DIR": config.data_dir.absolute()}
    return {name: str(value) for name, value in values.items() if value}
