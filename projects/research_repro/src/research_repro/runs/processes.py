"""Runs cells in parallel processes of this machine.

    run_cells(partial(find_paper, "lora", papers_dir), sweep, processes=2)

A process runs one cell after another, since importing torch takes seconds. A cell that fails, or
whose process dies, does not end the others. Processes end with the one that started them.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from research_repro.paper import Cell, Paper
from research_repro.runs.sweep import Message, Sweep
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput, SeedbedError, Unavailable
from seedbed.runs.environment import describe_environment, git_commit
from seedbed.runs.quiet_libraries import quiet
from seedbed.safety.secrets import reason

STEP_INTERVAL_S = 0.2  # between two progress messages of a cell
Load = Callable[[], Paper]
"""Imports the paper. It is pickled, and called in each process."""


def run_cells(
    load: Load, sweep: Sweep, *, processes: int | None = None, deadline: float | None = None
) -> None:
    """Run the pending cells in their order, `processes` at once (default: the number of cores).

    A cell of n cores counts as n cells and gets n threads; a cell of 0 cores runs alone. After
    `deadline` (of time.time) no cell is started. A SeedbedError of a cell, such as BadInput
    for a missing file, is raised here at once.
    """
    slots = processes or available_cores()
    queue = sweep.pending()
    workers: list[_Worker] = []
    try:
        while True:
            # 1. Start cells while there is room, the most important first.
            while queue and (deadline is None or time.time() < deadline):
                need = min(queue[0].cores or slots, slots)
                if need + sum(worker.slots for worker in workers) > slots:
                    break
                worker = _idle_worker(workers, load, sweep.workspace)
                worker.cell, worker.slots = queue.pop(0), need
                sweep.start(worker.cell)
                with suppress(OSError):  # it died while it was idle: `_receive` reports it
                    worker.connection.send(worker.cell)
            # 2. Wait until a process reports something, or dies.
            busy: dict[Any, _Worker] = {w.connection: w for w in workers if w.cell}
            if not busy:
                return
            for connection in wait(list(busy)):
                _receive(busy[connection], workers, sweep)
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    cell: Cell | None = None  # None: idle
    slots: int = 0  # in use


def _idle_worker(workers: list[_Worker], load: Load, workspace: Workspace) -> _Worker:
    if idle := [worker for worker in workers if worker.cell is None]:
        return idle[0]
    context = multiprocessing.get_context("spawn")
    connection, remote = context.Pipe()
    process = context.Process(target=_work, args=(remote, load, workspace), daemon=True)
    process.start()
    remote.close()  # so that the death of the process closes the connection
    workers.append(_Worker(process, connection))
    return workers[-1]


def _receive(worker: _Worker, workers: list[_Worker], sweep: Sweep) -> None:
    assert worker.cell is not None
    cell = worker.cell
    try:
        message: Message = worker.connection.recv()
    except (EOFError, OSError):  # the process died
        worker.process.join()
        workers.remove(worker)
        code = worker.process.exitcode or 0
        end = signal.Signals(-code).name if code < 0 else f"status {code}"
        message = "fail", (f"Its process ended with {end}{' (no memory?)' * (code == -9)}.",)
    if message[0] != "step":
        worker.cell, worker.slots = None, 0
    sweep.receive(cell, message)


def _work(connection: Connection, load: Load, workspace: Workspace) -> None:
    """Run the cells that arrive, until the process is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    quiet()  # before the paper's imports, some of which read the switches
    os.dup2(2, 1)  # what a cell prints must not get into the JSON of a command
    while True:
        cell = connection.recv()
        connection.send(run_cell(load, cell, workspace, connection.send))


def _exit_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def run_cell(
    load: Load, cell: Cell, workspace: Workspace, send: Callable[[Message], None]
) -> Message:
    """Run a cell in this process and return how it ended; `send` gets its progress.

    Torch is seeded, so the result does not depend on the cells that ran here before.
    """
    import torch

    sent = -STEP_INTERVAL_S

    def progress(_: str, step: int, total: int) -> None:
        nonlocal sent
        if (now := time.monotonic()) - sent >= STEP_INTERVAL_S:
            sent = now
            send(("step", (step, total)))

    torch.set_num_threads(cell.cores or available_cores())
    torch.manual_seed(cell.seed)
    try:
        paper = load()
        origin = {"started": datetime.now(UTC).isoformat(timespec="seconds"), **_origin(paper)}
        started = time.monotonic()
        result = paper.run_cell(cell, replace(workspace, progress=progress))
        return "finish", (json.loads(json.dumps(result)), time.monotonic() - started, origin)
    except SeedbedError as error:
        # Rebuilt, as not every error can be pickled.
        kind = BadInput if isinstance(error, BadInput) else Unavailable
        return "stop", (kind(error.message, hint=error.hint),)
    except Exception as error:
        path = workspace.folder / "failures" / f"{cell.id}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc(), "utf-8")
        return "fail", (f"{type(error).__name__}: {reason(error)} (traceback in {path})",)


_origins: dict[str, dict[str, Any]] = {}


def _origin(paper: Paper) -> dict[str, Any]:
    """Which code of which claims this process runs, and where: as it was at its first cell."""
    if paper.name not in _origins:
        _origins[paper.name] = {
            "commit": git_commit(paper.folder),
            "code": paper.code_digest(),
            "claims": {claim.id: claim.digest() for claim in paper.claims},
            "environment": describe_environment(paper.libraries),
        }
    return _origins[paper.name]
