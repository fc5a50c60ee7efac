"""Run a paper: its cells, then the verdict on each claim.

    outcome = run_paper(find_paper("lora", config.papers_dir), "smoke", config)
    [verdict.id for verdict in outcome.verdicts if not verdict.holds]

An interrupted run continues: finished cells are stored, others resume from their checkpoints.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from research_repro.config import Config
from research_repro.paper import Cell, Paper, Results, Scale, judge
from research_repro.papers import find_paper
from research_repro.results import Outcome, results_path, run_path, write_outcome
from research_repro.runs.processes import run_cells
from research_repro.runs.sweep import Listener, Sweep
from research_repro.runs.workspace import Workspace
from research_repro.tracking import log_outcome
from seedbed.errors import BadInput, NotFound
from seedbed.runs.environment import git_commit


def run_paper(
    paper: Paper,
    scale: Scale,
    config: Config,
    seeds: Sequence[int] | None = None,
    *,
    fresh: bool = False,
    on_event: Listener | None = None,
) -> Outcome:
    """Run the cells that have no stored result, judge the claims, and store the outcome.

    Without `seeds`, those of the paper. `fresh` discards stored results. `on_event` is called in
    this thread. A failed cell is in `outcome.failed`, and a claim that needs it is not measured.
    Raises BadInput for wrong seeds, and for a run that is already in progress.
    """
    # 1. Check the input before anything is started.
    seeds = _check_seeds(paper.seeds[scale] if seeds is None else seeds)
    cells = _check_cells(paper.cells(scale, seeds))
    data_dir = config.data_dir.absolute()
    folder = run_path(data_dir, paper.name, scale)
    workspace = Workspace(folder, data_dir / "cache", scale, code=paper.code_digest())
    sweep = Sweep(cells, workspace, on_event)

    # 2. Run the cells without a stored result; each new one is stored at once.
    load = partial(find_paper, paper.name, config.papers_dir.absolute())
    deadline = time.time() + 60 * config.minutes if config.minutes else None
    with _locked(folder):
        sweep.load_stored(discard=fresh)
        run_cells(load, sweep, processes=config.processes, deadline=deadline)

    # 3. Judge the claims by the results.
    rows = {cell.id: sweep.records[cell.id] for cell in cells if cell.id in sweep.records}
    results = Results({(row["name"], row["seed"]): row["result"] for row in rows.values()})
    verdicts = [judge(claim, results, scale) for claim in paper.claims]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    judged = {"commit": git_commit(paper.folder), "time": now}
    not_run = [cell.id for cell in sweep.pending() if cell.id not in sweep.failures]
    outcome = Outcome(
        paper.name, scale, seeds, rows, verdicts, judged, dict(sweep.failures), not_run
    )

    # 4. Store the outcome, and log it to MLflow.
    write_outcome(results_path(config.data_dir, paper.name, scale), outcome)
    log_outcome(outcome, config.data_dir)
    return outcome


def merge_cells(paper: Paper, scale: Scale, config: Config, data_dir: Path) -> list[str]:
    """Copy the finished cells of a run on another machine; returns their ids.

    `data_dir` is that machine's data folder. The next run uses them if code and settings are the
    same. Raises NotFound if it has no such run.
    """
    source = run_path(data_dir, paper.name, scale) / "cells"
    target = run_path(config.data_dir, paper.name, scale) / "cells"
    if not source.is_dir():
        raise NotFound(f"{source} does not exist.", hint="Name the other machine's data folder.")
    target.mkdir(parents=True, exist_ok=True)
    new = [path for path in sorted(source.glob("*.json")) if not (target / path.name).exists()]
    for path in new:
        shutil.copyfile(path, target / path.name)
    return [path.stem for path in new]


def _check_seeds(seeds: Sequence[int]) -> list[int]:
    if not seeds:
        raise BadInput("The list of seeds is empty.", hint="Name at least one, e.g. --seeds 0,1,2")
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        text = ", ".join(map(str, seeds))
        raise BadInput(f"Invalid seeds: {text}.", hint="Use different numbers from 0 on.")
    return list(seeds)


def _check_cells(cells: list[Cell]) -> list[Cell]:
    """Their ids are the names of files."""
    ids = [cell.id for cell in cells]
    for cell_id in ids:
        if ids.count(cell_id) > 1 or not re.fullmatch(r"[\w.+-]+", cell_id):
            problem = f"The cell id {cell_id!r} is not unique, or cannot be the name of a file."
            raise BadInput(problem, hint="Use letters, digits and . + - _ in the names of cells.")
    return cells


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "run.lock", timeout=0):
            yield
    except Timeout:
        message = f"The run {folder.name} is already in progress in another process."
        raise BadInput(message, hint="Wait until it ends, or stop it.") from None
