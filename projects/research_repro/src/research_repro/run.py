"""Run a paper: its cells, then the verdict on each claim.

    outcome = run_paper(find_paper("lora", config.papers_dir), "smoke", config)
    [verdict.id for verdict in outcome.verdicts if not verdict.holds]

An interrupted run continues: finished cells are stored, others resume from their checkpoints.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from research_repro.config import Config
from research_repro.paper import Cell, Paper, Results, Scale, judge
from research_repro.papers import find_paper
from research_repro.results import Outcome, published, results_path, run_path, write_outcome
from research_repro.runs.processes import available_cores, run_cells
from research_repro.runs.ray_cells import run_cells_on_ray
from research_repro.runs.sweep import Listener, Sweep
from research_repro.runs.workspace import Workspace, data_hash
from research_repro.tracking import log_outcome
from seedbed.errors import BadInput
from seedbed.runs.environment import describe_environment, git_commit

LIBRARIES = ("torch", "transformers", "numpy", "scipy", "scikit-learn", "sacrebleu")


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
    this thread. A failed cell is in `outcome.about["failed"]`, and a claim that needs it is not
    measured. Raises BadInput for wrong seeds, wrong data, and a run that is already in progress.
    """
    # 1. Check the input before anything is started.
    started = datetime.now(UTC)
    seeds = _check_seeds(paper.seeds[scale] if seeds is None else seeds)
    cells = _check_cells(paper.cells(scale, seeds))
    workspace, durations = _workspace(paper, scale, config), _durations(paper, scale)
    sweep = Sweep(cells, workspace, on_event, durations=durations)

    # 2. Run the cells without a stored result; each new one is stored at once.
    with _locked(sweep.workspace.folder):
        sweep.load_stored(discard=fresh)
        _run_cells(paper, sweep, config)

    # 3. Judge the claims by the results.
    seconds = sweep.seconds()
    rows = {cell.id: sweep.records[cell.id] for cell in cells if cell.id in sweep.records}
    results = Results({(row["name"], row["seed"]): row["result"] for row in rows.values()})
    verdicts = [judge(claim, results, scale) for claim in paper.claims]
    about = _about(sweep, config, started)
    outcome = Outcome(paper.name, paper.version, scale, seeds, seconds, rows, verdicts, about)

    # 4. Store the outcome, and log it to MLflow.
    write_outcome(results_path(config.data_dir, paper.name, scale), outcome)
    log_outcome(outcome, config.data_dir)
    return outcome


def _run_cells(paper: Paper, sweep: Sweep, config: Config) -> None:
    load = partial(find_paper, paper.name, config.papers_dir.absolute())
    deadline = time.time() + 60 * config.minutes if config.minutes else None
    if config.ray_address:
        run_cells_on_ray(load, sweep, address=config.ray_address, deadline=deadline)
    else:
        run_cells(load, sweep, processes=config.processes, deadline=deadline)


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


def _durations(paper: Paper, scale: Scale) -> dict[str, float]:
    """Seconds of the cells of the published run, by id and by name."""
    outcome = published(paper.name, scale)
    cells = outcome.cells if outcome else {}
    return {key: cell["seconds"] for id, cell in cells.items() for key in (cell["name"], id)}


def _workspace(paper: Paper, scale: Scale, config: Config) -> Workspace:
    data_dir, data = config.data_dir.absolute(), config.data
    if data and not data.startswith("hf:"):
        data = str(Path(data).expanduser().absolute())
    folder = run_path(data_dir, paper.name, scale)
    cache, digest = data_dir / "cache", data_hash(data)
    return Workspace(folder, cache, scale, data, version=paper.version, data_hash=digest)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "run.lock", timeout=0):
            yield
    except Timeout:
        message = f"The run {folder.name} is already in progress in another process."
        raise BadInput(message, hint="Wait until it ends, or stop it.") from None


def _about(sweep: Sweep, config: Config, started: datetime) -> dict[str, Any]:
    """Where and how it was run, and what is missing."""
    return {
        "commit": git_commit(Path(__file__).parent),
        **describe_environment(LIBRARIES),
        "processes": config.processes or available_cores(),
        "data": sweep.workspace.data_hash or "generated",
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "failed": dict(sweep.failures),
        "not_run": [cell.id for cell in sweep.pending() if cell.id not in sweep.failures],
    }
