"""Whether the process that writes a run still exists.

record = process_identity()    # in one process
is_alive(record)               # in another
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any


def process_identity() -> dict[str, Any]:
    """A JSON object by which `is_alive` recognizes this process.

    >>> is_alive(process_identity())
    True
    """
    import psutil

    return {
        "pid": os.getpid(),
        "pid_started": psutil.Process().create_time(),  # as systems reuse the ids of processes
        "host": socket.gethostname(),
    }


def is_alive(record: Mapping[str, Any]) -> bool:
    """Whether the process of a `process_identity` still runs; True if it is on another machine."""
    import psutil

    if record.get("host") != socket.gethostname():
        return True
    with suppress(psutil.Error):
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["pid_started"]) < 1
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    return False
