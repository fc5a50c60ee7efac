"""Run a paper: its cells, then the verdict on each claim.

    outcome = run_paper(find_paper("lora", config.papers_dir), "smoke", config)
    [verdict.id for verdict in outcome.verdicts if not verdict.holds]

An interrupted run continues: finished cells are stored, others resume from their checkpoints.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from research_repro.config import Config
from research_repro.paper import Cell, Paper, Results, Scale, judge
from research_repro.papers import find_paper
from research_repro.results import Outcome, write_outcome
from research_repro.runs.processes import available_cores, run_cells
from research_repro.runs.sweep import Event, Sweep
from research_repro.runs.workspace import Workspace, data_hash
from research_repro.tracking import log_outcome
from seedbed.errors import BadInput
from seedbed.observe.environment import describe_environment, git_commit

LIBRARIES = ("torch", "transformers", "numpy", "scipy", "scikit-learn", "sacrebleu")


def run_paper(
    paper: Paper,
    scale: Scale,
    config: Config,
    seeds: Sequence[int] | None = None,
    *,
    fresh: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> Outcome:
    """Run the cells that have no stored result, judge the claims, and store the outcome.

    Without `seeds`, those of the paper. `fresh` discards stored results. `on_event` is called in
    this thread. A failed cell is in `outcome.about["failed"]`, and a claim that needs it is not
    measured. Raises BadInput for wrong seeds, wrong data, and a run that another process works on.
    """
    # 1. Check the input before anything is started.
    started = datetime.now(UTC)
    seeds = _check_seeds(paper.seeds[scale] if seeds is None else seeds)
    cells = _check_cells(paper.cells(scale, seeds))
    data_dir = config.data_dir.absolute()
    workspace = Workspace(
        folder=data_dir / "runs" / f"{paper.name}-{scale}",
        cache=data_dir / "cache",
        scale=scale,
        data=_absolute(config.data),
        version=paper.version,
        data_hash=data_hash(config.data),
    )

    # 2. Run the cells; each result is stored at once.
    sweep = Sweep(cells, workspace, on_event)
    with _locked(workspace.folder):
        if fresh:
            shutil.rmtree(workspace.folder / "cells", ignore_errors=True)
            shutil.rmtree(workspace.folder / "checkpoints", ignore_errors=True)
        sweep.load_stored()
        _run_cells(paper, sweep, config)

    # 3. Judge the claims by the results.
    results = Results({(r["name"], r["seed"]): r["result"] for r in sweep.records.values()})
    outcome = Outcome(
        paper=paper.name,
        version=paper.version,
        scale=scale,
        seeds=list(seeds),
        seconds=sweep.seconds(),
        cells={cell.id: _row(sweep, cell) for cell in cells if cell.id in sweep.records},
        verdicts=[judge(claim, results, scale) for claim in paper.claims],
        about=_about(sweep, config, started),
    )

    # 4. Store the outcome, and log it to MLflow.
    write_outcome(data_dir / "results" / f"{paper.name}-{scale}.json", outcome)
    log_outcome(outcome, data_dir)
    return outcome


def _run_cells(paper: Paper, sweep: Sweep, config: Config) -> None:
    load = partial(find_paper, paper.name, config.papers_dir.absolute())
    deadline = None if config.minutes is None else time.monotonic() + 60 * config.minutes
    if config.ray_address is None:
        run_cells(load, sweep, processes=config.processes, deadline=deadline)
    else:
        from research_repro.runs.ray_cells import run_cells_on_ray

        run_cells_on_ray(load, sweep, address=config.ray_address, deadline=deadline)


def _check_seeds(seeds: Sequence[int]) -> list[int]:
    if not seeds:
        raise BadInput("The list of seeds is empty.", hint="Name at least one, e.g. --seeds 0,1,2")
    if any(seed < 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise BadInput(
            f"Invalid seeds: {', '.join(map(str, seeds))}.", hint="Use different numbers from 0 on."
        )
    return list(seeds)


def _check_cells(cells: list[Cell]) -> list[Cell]:
    ids = set()
    for cell in cells:
        if cell.id in ids or not re.fullmatch(r"[\w.+-]+", cell.id):
            raise BadInput(
                f"The cell name {cell.name!r} is not unique, or cannot be the name of a file.",
                hint="Use letters, digits, and . + - _ in the names of cells.",
            )
        ids.add(cell.id)
        try:
            json.dumps(dict(cell.settings))
        except TypeError as error:
            raise BadInput(f"The settings of the cell {cell.id} are not JSON: {error}.") from None
    return cells


def _absolute(data: str | None) -> str | None:
    """The data folder for processes that may run in another folder."""
    return data if not data or data.startswith("hf:") else str(Path(data).expanduser().absolute())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "run.lock", timeout=0):
            yield
    except Timeout:
        raise BadInput(
            f"Another process is running {folder.name}.", hint="Wait for its end, or stop it."
        ) from None


def _row(sweep: Sweep, cell: Cell) -> dict[str, Any]:
    record = sweep.records[cell.id]
    return {name: record[name] for name in ("name", "seed", "settings", "result", "seconds")}


def _about(sweep: Sweep, config: Config, started: datetime) -> dict[str, Any]:
    """Where and how it was run, and what is missing."""
    return {
        "commit": git_commit(Path(__file__).parent),
        **describe_environment(LIBRARIES),
        "cores": available_cores(),
        "processes": config.processes or available_cores(),
        "data": sweep.workspace.data_hash or "generated",
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "failed": dict(sweep.failures),
        "not_run": [cell.id for cell in sweep.pending() if cell.id not in sweep.failures],
    }
