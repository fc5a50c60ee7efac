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
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from research_repro.paper import Cell, Paper
from research_repro.runs.sweep import Sweep
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput, SeedbedError, Unavailable

STEP_INTERVAL_S = 0.2
Message = tuple[str, tuple[Any, ...]]
"""("step", (step, total)), ("finish", (result, seconds)), ("fail", (reason,)), ("stop", (error,))"""


def run_cells(
    load: Callable[[], Paper],
    sweep: Sweep,
    *,
    processes: int | None = None,
    deadline: float | None = None,
) -> None:
    """Run the pending cells in their order, at most `processes` of them at once.

    `load` is pickled and called in each process. A cell of n cores counts as n cells and gets n
    threads; a cell of 0 cores runs alone. After `deadline` (of time.monotonic) no cell is started.
    Raises the SeedbedError of a cell, such as BadInput for a missing data folder, at once.
    """
    slots = processes or available_cores()
    queue = sweep.pending()
    workers: list[_Worker] = []
    try:
        while True:
            # 1. Start cells while there is room, the most important first.
            while queue and (deadline is None or time.monotonic() < deadline):
                need = min(queue[0].cores or slots, slots)
                if need + sum(worker.slots for worker in workers) > slots:
                    break
                _start(queue.pop(0), need, workers, load, sweep)
            # 2. Wait until a process reports something, or dies.
            busy = {worker.connection: worker for worker in workers if worker.cell}
            if not busy:
                return
            for connection in wait(list(busy)):
                _receive(busy[connection], workers, sweep)  # type: ignore[index]
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()


def available_cores() -> int:
    """The number of cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def execute(paper: Paper, cell: Cell, workspace: Workspace) -> tuple[Any, float]:
    """Run a cell in this process: its result as JSON values, and the seconds it took.

    Torch is seeded, so the result does not depend on the cells that ran here before.
    """
    import torch

    torch.set_num_threads(cell.cores or available_cores())
    torch.manual_seed(cell.seed)
    started = time.monotonic()
    result = json.loads(json.dumps(paper.run_cell(cell, workspace)))
    return result, time.monotonic() - started


def failure(error: Exception, cell: Cell, folder: Path) -> str:
    """The reason of an unexpected error in one line; the traceback goes to a file in `folder`."""
    path = folder / "failures" / f"{cell.id}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(traceback.format_exception(error)), "utf-8")
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text} (traceback in {path})"


# ── the process that starts the others ──────────────────────────────────────────────────────


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    cell: Cell | None = None  # None: waits for the next
    slots: int = 0  # in use


def _start(
    cell: Cell, slots: int, workers: list[_Worker], load: Callable[[], Paper], sweep: Sweep
) -> None:
    worker = next((worker for worker in workers if worker.cell is None), None)
    if worker is None:
        context = multiprocessing.get_context("spawn")
        connection, remote = context.Pipe()
        process = context.Process(target=_work, args=(remote, load, sweep.workspace), daemon=True)
        process.start()
        remote.close()  # so that the death of the process closes the connection
        worker = _Worker(process, connection)
        workers.append(worker)
    worker.cell, worker.slots = cell, slots
    sweep.start(cell)
    try:
        worker.connection.send(cell)
    except OSError:
        pass  # it died while it waited; `_receive` reports it


def _receive(worker: _Worker, workers: list[_Worker], sweep: Sweep) -> None:
    cell = worker.cell
    assert cell is not None
    try:
        kind, values = worker.connection.recv()
    except (EOFError, OSError):  # the process died
        worker.process.join()
        workers.remove(worker)
        sweep.fail(cell, _cause_of_death(worker.process.exitcode or 0))
        return
    if kind == "stop":
        raise values[0]
    if kind != "step":
        worker.cell, worker.slots = None, 0
    getattr(sweep, kind)(cell, *values)


def _cause_of_death(exitcode: int) -> str:
    if exitcode == -9:
        return "Its process was killed (SIGKILL), perhaps because memory ran out."
    if exitcode < 0:
        return f"Its process was killed by {signal.Signals(-exitcode).name}."
    return f"Its process ended with status {exitcode}."


# ── a process that runs cells ───────────────────────────────────────────────────────────────


def _work(connection: Connection, load: Callable[[], Paper], workspace: Workspace) -> None:
    """Run the cells that arrive, until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    os.dup2(2, 1)  # what a cell prints must not get into the parent's JSON
    while True:
        try:
            cell = connection.recv()
        except EOFError:
            return
        connection.send(_answer(connection, load, cell, workspace))


def _answer(
    connection: Connection, load: Callable[[], Paper], cell: Cell, workspace: Workspace
) -> Message:
    last = -STEP_INTERVAL_S

    def progress(_: str, step: int, total: int) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= STEP_INTERVAL_S:
            last = now
            connection.send(("step", (step, total)))

    try:
        return "finish", execute(load(), cell, replace(workspace, progress=progress))
    except SeedbedError as error:
        # Rebuilt, as not every error can be pickled.
        kind = BadInput if isinstance(error, BadInput) else Unavailable
        return "stop", (kind(error.message, hint=error.hint),)
    except Exception as error:
        return "fail", (failure(error, cell, workspace.folder),)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
