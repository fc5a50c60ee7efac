"""Runs cells in parallel processes of this machine; each result is stored at once.

    records, failures = run_cells(partial(find_paper, "lora", papers_dir), cells, workspace)

A record is `cells/ID.json` in the run's folder; those of an interrupted run are reused. A process
runs one cell after another, since importing torch takes seconds, and exits with its parent.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from research_repro.paper import Cell, Paper
from research_repro.results import Record, six_digits
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput, SeedbedError, Unavailable
from seedbed.files import disk_errors, write_text
from seedbed.runs.training import describe_environment, git_commit, quiet
from seedbed.safety.secrets import reason

Load = Callable[[], Paper]
"""Imports the paper. It is pickled, and called in each process."""
Progress = Callable[[int, int, str], None]
"""Called after each cell with the number of ended cells, the total, and a line about this one."""


def _stored_records(cells: Sequence[Cell], workspace: Workspace) -> dict[str, Record]:
    """The results of earlier runs with the same settings and code, by cell id."""
    records: dict[str, Record] = {}
    for cell in cells:
        with suppress(OSError, ValueError, AttributeError):
            record = json.loads(record_path(cell, workspace).read_text("utf-8"))
            if record.items() >= workspace.identity(cell).items():
                records[cell.id] = record
    return records


def record_path(cell: Cell, workspace: Workspace) -> Path:
    """The file with the result of a cell."""
    return workspace.folder / "cells" / f"{cell.id}.json"


def run_cells(
    load: Load,
    cells: Sequence[Cell],
    workspace: Workspace,
    processes: int | None = None,
    minutes: float | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Record], dict[str, str]]:
    """Run the cells without a stored record, `processes` at once (default: the number of cores).

    Returns all records and the reasons of failures, both by cell id. Cells start in their order;
    one of n cores counts as n, one of 0 cores runs alone. After `minutes` no cell is started.
    Raises the SeedbedError of a cell, such as BadInput for a missing file, and Unavailable if a
    process died.
    """
    slots = processes or available_cores()
    end = math.inf if minutes is None else time.monotonic() + 60 * minutes
    records, failures = _stored_records(cells, workspace), dict[str, str]()
    queue = [cell for cell in cells if cell.id not in records]
    running = dict[Future[Record | str], Cell]()

    def need(cell: Cell) -> int:
        return min(cell.cores or slots, slots)

    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(slots, mp_context=spawn, initializer=_begin_process) as pool:
        try:
            while True:
                # 1. Start cells while there is room, the most important first.
                while queue and time.monotonic() < end:
                    if need(queue[0]) + sum(map(need, running.values())) > slots:
                        break
                    cell = queue.pop(0)
                    running[pool.submit(run_cell, load, cell, workspace)] = cell
                if not running:
                    return records, failures
                # 2. Wait until one ends, and keep its record or the reason why it failed.
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    cell = running.pop(future)
                    if isinstance(result, str):
                        failures[cell.id] = result
                    else:
                        records[cell.id] = result
                    if progress:
                        text = f"{cell.id} failed: {result}" if cell.id in failures else cell.id
                        progress(len(records) + len(failures), len(cells), text)
        except BrokenProcessPool:
            names = " or ".join(sorted(cell.id for cell in running.values()))
            raise Unavailable(
                f"The process of {names} ended; perhaps there was no memory left.",
                hint="Run the same command again: it continues. RESEARCH_PROCESSES=1 needs less.",
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.kill()


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _begin_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    quiet()  # before the paper's imports, some of which read the switches
    os.dup2(2, 1)  # what a cell prints must not get into the JSON of a command


def _exit_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def run_cell(load: Load, cell: Cell, workspace: Workspace) -> Record | str:
    """Run a cell in this process and store its record; returns that, or why the cell failed.

    Torch is seeded, so the result does not depend on the cells that ran here before.
    """
    import torch

    torch.set_num_threads(cell.cores or available_cores())
    torch.manual_seed(cell.seed)
    path = record_path(cell, workspace)
    try:
        # 1. Run it.
        paper = load()
        origin = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
        origin |= _origin(paper.folder, paper.libraries)
        started = time.monotonic()
        result = six_digits(json.loads(json.dumps(paper.run_cell(cell, workspace))))
        seconds = six_digits(time.monotonic() - started)
        # 2. Store its result, then remove its checkpoints.
        rest = {"seconds": seconds, "origin": origin, "result": result}
        record = cast(Record, {**workspace.identity(cell), **rest})
        with disk_errors(f"The result of {cell.id}", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(record) + "\n")
        workspace.delete_checkpoints(cell)
        return record
    except SeedbedError as error:
        # Rebuilt, as not every error can be pickled.
        kind = BadInput if isinstance(error, BadInput) else Unavailable
        raise kind(error.message, hint=error.hint) from None
    except Exception as error:
        path = workspace.folder / "failures" / f"{cell.id}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc(), "utf-8")
        return f"{type(error).__name__}: {reason(error)} (traceback in {path})"


@cache
def _origin(folder: Path, libraries: tuple[str, ...]) -> dict[str, Any]:
    """Which code this process runs, and where: as it was at its first cell."""
    return {"commit": git_commit(folder), "environment": describe_environment(libraries)}
