"""Starting the process of a local model, before the service itself has started if it can be.

A process imports for a second and loads for two; the service imports for one as well. So `serve`
starts a process first of all, tells it the default model once that is known, and the model's
backend takes it over. Nothing heavy is imported here.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_service.models.local import wire
from llm_service.request import MAX_CHOICES

Order = dict[str, Any]
"""What a process is to load: `order_of` makes it."""


@dataclass
class Spawned:
    """A process, our end of its socket, and what it was told to load."""

    process: subprocess.Popen[bytes]
    connection: socket.socket
    order: Order | None = None

    def tell(self, order: Order) -> None:
        self.order = order
        self.connection.sendall(wire.encode(order))

    def end(self) -> None:
        """Let a process go that was told nothing, or has died."""
        self.connection.close()
        self.process.wait()


_early: list[Spawned] = []


def order_of(spec: str, max_running: int, max_queue: int, kind: str = "chat") -> Order:
    # What the service lets in, the engine takes: it counts choices, which are more.
    queue = (max_running + max_queue) * MAX_CHOICES
    options = {"max_running": max_running, "max_queue": queue}
    return {"kind": kind, "spec": spec, "options": options}


def spawn() -> Spawned:
    """A process that imports what a chat model needs while it waits to be told."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "llm_service.models.local.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the service, which ends this one after
        )
    return Spawned(process, ours)


def keep(early: Spawned) -> None:
    """For the backend that will want it. Unwanted, it ends when this process does."""
    _early.append(early)


def take(order: Order) -> Spawned:
    """The process that was started early for this, else a new one."""
    for early in _early:
        if early.order == order:
            _early.remove(early)
            if early.process.poll() is None:
                return early
            early.end()
            break
    spawned = spawn()
    spawned.tell(order)
    return spawned


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
