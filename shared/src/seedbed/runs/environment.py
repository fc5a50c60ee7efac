"""What a run depends on besides its arguments: code, libraries and machine; and its process.

    about = {"commit": git_commit(Path(__file__).parent), **describe_environment(["torch"])}
    record = process_identity()    # in one process
    is_alive(record)               # in another

Projects that use it require psutil.
"""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any


def describe_environment(libraries: Iterable[str]) -> dict[str, Any]:
    """The versions of the installed libraries, Python, platform and hardware; `memory` is in bytes.

    >>> about = describe_environment(["filelock", "not-installed"])
    >>> list(about), list(about["versions"])
    (['versions', 'python', 'platform', 'cpu', 'cores', 'memory'], ['filelock'])
    """
    versions = {}
    for name in libraries:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "versions": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory": total_memory(),
    }


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def total_memory() -> int:
    """Bytes of memory of this machine, or the limit of the container if that is lower."""
    import psutil

    total = int(psutil.virtual_memory().total)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = Path("/sys/fs/cgroup", name)
        if limit.exists() and limit.read_text().strip().isdigit():
            total = min(total, int(limit.read_text()))
    return total


def git_commit(folder: Path) -> str | None:
    """The commit checked out around `folder`; None outside git.

    It ends in `-dirty` if tracked files differ, or if the folder contains files that are not
    tracked: the commit then lacks some of the code.
    """

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return done.stdout.strip()

    with suppress(OSError, subprocess.SubprocessError):
        commit = git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
        untracked = commit and git("ls-files", "--others", "--exclude-standard", ".")
        return (commit.removesuffix("-dirty") + "-dirty" if untracked else commit) or None
    return None


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
