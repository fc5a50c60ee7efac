"""Whether the process that writes a run still exists.

record = process_identity()    # in one process
is_alive(record, lock_file)    # in another
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any


def process_identity() -> dict[str, Any]:
    """A JSON object by which `is_alive` recognizes this process.

    >>> is_alive(process_identity(), Path("run.lock"))
    True
    """
    import psutil

    return {
        "pid": os.getpid(),
        "pid_started": psutil.Process().create_time(),  # as systems reuse the ids of processes
        "host": socket.gethostname(),
    }


def lock(file: Path) -> IO[bytes]:
    """Lock a file for this process until the result is closed. Raises OSError if it is locked."""
    stream = file.open("ab")
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise
    return stream


def is_alive(record: Mapping[str, Any], locked: Path) -> bool:
    """Whether the process of a `process_identity` still runs.

    One of another host, such as a container that is gone, does if it still locks the file `locked`.
    """
    import psutil

    if record.get("host") != socket.gethostname():
        try:
            lock(locked).close()
        except OSError:
            return locked.exists()
        return False
    with suppress(psutil.Error):
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["pid_started"]) < 1
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    return False
