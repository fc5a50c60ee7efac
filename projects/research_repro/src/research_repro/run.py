"""Run a paper: its cells, then the verdict on each claim.

    outcome = run_paper(find_paper("lora", config.papers_dir), "smoke", config)
    [verdict.id for verdict in outcome.verdicts if not verdict.holds]

An interrupted run continues: finished cells are stored, others resume from their checkpoints.
"""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from research_repro.config import Config
from research_repro.paper import Cell, Paper, Scale, judge
from research_repro.papers import find_paper
from research_repro.results import (
    Outcome,
    read_outcome,
    results_path,
    run_path,
    unpublishable,
    write_outcome,
)
from research_repro.runs.pool import Progress, record_path, run_cells
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput
from seedbed.runs.training import git_commit


def run_paper(
    paper: Paper,
    scale: Scale,
    config: Config,
    seeds: Sequence[int] | None = None,
    *,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Run the cells that have no stored result, judge the claims, and store the outcome.

    Without `seeds`, those of the paper. `fresh` discards the stored results of these cells. A
    failed cell is in `outcome.failed`, and a claim that needs it is not measured. Raises BadInput
    for wrong seeds and for a run that is already in progress, Unavailable if a process died.
    """
    # 1. Check the input before anything is started.
    seeds = _check_seeds(paper.seeds[scale] if seeds is None else seeds)
    cells = _check_cells(paper.cells(scale, seeds))
    data_dir = config.data_dir.absolute()
    folder = run_path(data_dir, paper.name, scale)
    workspace = Workspace(folder, data_dir / "cache", scale, code=paper.code_digest())

    # 2. Run the cells without a stored result; each new one is stored at once.
    load = partial(find_paper, paper.name, config.papers_dir.absolute())
    with _locked(folder):
        for cell in cells if fresh else ():
            record_path(cell, workspace).unlink(missing_ok=True)
            workspace.delete_checkpoints(cell)
        records, failures = run_cells(
            load, cells, workspace, config.processes, config.minutes, progress
        )

    # 3. Judge the claims.
    rows = {cell.id: records[cell.id] for cell in cells if cell.id in records}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    judged = {"commit": git_commit(paper.folder), "time": now}
    not_run = [cell.id for cell in cells if cell.id not in rows.keys() | failures.keys()]
    outcome = Outcome(paper.name, scale, seeds, rows, [], judged, failures, not_run)
    outcome.verdicts.extend(judge(claim, outcome.results, scale) for claim in paper.claims)

    # 4. Store the outcome.
    write_outcome(results_path(config.data_dir, paper.name, scale), outcome)
    return outcome


def publish_run(paper: Paper, scale: Scale, config: Config) -> Path:
    """Copy the last run into the paper's folder, as the reference for later runs.

    One of its cells, chosen at random, is run again, and must give the same result; cells that
    measure time are not chosen. Raises BadInput if it differs, or if `results.unpublishable`.
    """
    # 1. Check what is stored.
    outcome = read_outcome(results_path(config.data_dir, paper.name, scale), paper.name, scale)
    if problem := next(unpublishable(outcome, paper), None):
        raise BadInput(f"{paper.name} cannot be published: {problem}")

    # 2. Run one cell again, from the same pre-trained models.
    cell = random.choice([cell for cell in paper.cells(scale, outcome.seeds) if cell.cores])
    load = partial(find_paper, paper.name, config.papers_dir.absolute())
    with tempfile.TemporaryDirectory() as folder:
        cache = config.data_dir.absolute() / "cache"
        workspace = Workspace(Path(folder), cache, scale, code=paper.code_digest())
        records, failures = run_cells(load, [cell], workspace)
    if failures or records[cell.id]["result"] != outcome.cells[cell.id]["result"]:
        problem = f"{cell.id} was run again, and gave another result."
        raise BadInput(
            f"{paper.name} cannot be published: {problem}",
            hint=f"Run: research-repro run {paper.name} --scale {scale} --fresh",
        )

    # 3. Write it.
    path = paper.folder / "published" / f"{scale}.json"
    write_outcome(path, outcome)
    return path


def _check_seeds(seeds: Sequence[int]) -> list[int]:
    if not seeds:
        raise BadInput("The list of seeds is empty.", hint="Name at least one, e.g. --seeds 0,1,2")
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        text = ", ".join(map(str, seeds))
        raise BadInput(f"Invalid seeds: {text}.", hint="Use different numbers from 0 on.")
    return list(seeds)


def _check_cells(cells: list[Cell]) -> list[Cell]:
    """Raise BadInput unless the ids are unique and can be the names of files."""
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
