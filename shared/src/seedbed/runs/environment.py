"""What a run depends on besides its arguments: code, libraries and machine.

    about = {"commit": git_commit(Path(__file__).parent), **describe_environment(["torch"])}

Projects that use it require psutil.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any


def describe_environment(libraries: Iterable[str]) -> dict[str, Any]:
    """The versions of the libraries, Python, platform and hardware; `memory` is in bytes."""
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
