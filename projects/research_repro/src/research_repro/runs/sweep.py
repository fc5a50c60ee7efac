"""The state of a run: which cells have a result, which failed, what is left, and its progress.

    sweep = Sweep(cells, workspace, on_event=print)
    sweep.load_stored()              # results of an interrupted run
    run_cells(load, sweep)           # `runs.processes`
    sweep.records["lora-seed0"]["result"]

Each result is written at once, to `cells/ID.json` in the run's folder. Only the process that
starts the cells has a sweep; those that run them send it messages.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from research_repro.paper import Cell
from research_repro.runs.workspace import Workspace
from seedbed.files import disk_errors, write_text

Record = dict[str, Any]
"""`Workspace.identity` with "result", "seconds" and "origin" of the process that computed it."""
Message = tuple[Literal["step", "finish", "fail", "stop"], tuple[Any, ...]]
"""From the process of a cell: (step, total), (result, seconds, origin), (reason,) or (error,)."""


@dataclass(frozen=True)
class Event:
    """A change in a run."""

    kind: Literal["started", "step", "finished", "failed", "stored"]
    """"stored": it has a result of an earlier run."""
    cell: str
    share: float
    """Part of the cells that is done, 0 to 1."""
    step: int = 0
    total: int = 0
    """Steps of the cell, `step` of them done."""
    reason: str = ""
    """Why the cell failed, in one line."""


Listener = Callable[[Event], None]


class Sweep:
    """The cells of a run and what became of them."""

    def __init__(
        self, cells: Sequence[Cell], workspace: Workspace, on_event: Listener | None = None
    ) -> None:
        self.cells = list(cells)
        self.workspace = workspace
        self.records: dict[str, Record] = {}
        """By cell id; the finished cells."""
        self.failures: dict[str, str] = {}
        """By cell id; the reasons, one line each."""
        self._on_event = on_event or (lambda _: None)
        self._running: dict[str, float] = {}  # the part of each that is done

    def pending(self) -> list[Cell]:
        """The cells without a result, in their order."""
        return [cell for cell in self.cells if cell.id not in self.records]

    def load_stored(self, *, discard: bool = False) -> None:
        """Load results of earlier runs with the same settings and code; `discard` deletes all."""
        if discard:
            for name in ("cells", "checkpoints"):
                shutil.rmtree(self.workspace.folder / name, ignore_errors=True)
        for cell in self.cells:
            record: Record = {}
            with suppress(OSError, ValueError):
                record = dict(json.loads(self._path(cell).read_text("utf-8")))
            if record.items() >= self.workspace.identity(cell).items():
                self.records[cell.id] = record
                self._emit("stored", cell)

    def start(self, cell: Cell) -> None:
        """A process has started with a cell."""
        self._running[cell.id] = 0.0
        self._emit("started", cell)

    def receive(self, cell: Cell, message: Message) -> None:
        """Handle a message from the process of a cell. Raises the error of a "stop"."""
        kind, values = message
        if kind == "stop":
            raise values[0]
        getattr(self, kind)(cell, *values)

    def step(self, cell: Cell, step: int, total: int) -> None:
        """A cell has done `step` of `total` steps."""
        self._running[cell.id] = step / max(total, 1)
        self._emit("step", cell, step=step, total=total)

    def finish(self, cell: Cell, result: Any, seconds: float, origin: Record) -> None:
        """Write a result and remove the cell's checkpoints. Raises DiskError."""
        rest = {"seconds": seconds, "origin": origin, "result": result}
        record = {**self.workspace.identity(cell), **rest}
        path = self._path(cell)
        with disk_errors(f"The result of {cell.id}", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(record) + "\n")
        for checkpoint in self.workspace.folder.glob(f"checkpoints/{cell.id}.loop*"):
            checkpoint.unlink(missing_ok=True)
        self.records[cell.id] = record
        self._emit("finished", cell)

    def fail(self, cell: Cell, reason: str) -> None:
        """A cell failed; its checkpoints stay, for the next run."""
        self.failures[cell.id] = reason
        self._emit("failed", cell, reason=reason)

    def _path(self, cell: Cell) -> Path:
        return self.workspace.folder / "cells" / f"{cell.id}.json"

    def _emit(self, kind: Any, cell: Cell, **details: Any) -> None:
        if kind in ("finished", "failed"):
            self._running.pop(cell.id, None)
        done = len(self.records.keys() | self.failures.keys()) + sum(self._running.values())
        self._on_event(Event(kind, cell.id, done / len(self.cells), **details))
