"""Starting the process of a local model, before the service itself has started if it can be.

A process imports for a second and loads for two; the service imports for one as well. So `serve`
starts the default model's process first, and its backend takes it. Nothing heavy is imported here.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_service.backends import wire

_MOST_CHOICES = 128  # of one request
Order = dict[str, Any]
"""What a process is to load: `order_of` makes it."""


@dataclass
class Spawned:
    """A process that loads, and our end of its socket."""

    order: Order
    process: subprocess.Popen[bytes]
    connection: socket.socket


_early: list[Spawned] = []


def order_of(spec: str, max_running: int, max_queue: int, kind: str = "chat") -> Order:
    # What the service lets in, the engine takes: it counts choices, which are more.
    queue = (max_running + max_queue) * _MOST_CHOICES
    options = {"max_running": max_running, "max_queue": queue}
    return {"kind": kind, "spec": spec, "options": options}


def spawn(order: Order) -> Spawned:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "llm_service.backends.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the service, which ends this one after
        )
    ours.sendall(wire.encode(order))
    return Spawned(order, process, ours)


def start_early(order: Order) -> None:
    """Start a process that a backend will want. Unwanted, it ends when this process does."""
    _early.append(spawn(order))


def take(order: Order) -> Spawned:
    """The process that was started early for this, else a new one."""
    for early in _early:
        if early.order == order:
            _early.remove(early)
            if early.process.poll() is None:
                return early
            early.connection.close()
            break
    return spawn(order)


def default_spec(models: Path | None, setting: str) -> str | None:
    """The local chat model that loads first, by the file of models or by SEEDBED_MODEL; or None.

    Whatever is wrong with them is found, and said, later.
    """
    if models is None:
        local = ":" not in setting or setting.startswith(("path:", "hf:"))
        return setting if local else None
    try:
        table: dict[str, Any] = tomllib.loads(models.read_text("utf-8"))
        name = str(table.get("default", next(iter(table["models"]))))
        entry = table["models"][name]
        return str(entry.get("spec", name)) if entry["backend"] == "local" else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return None
