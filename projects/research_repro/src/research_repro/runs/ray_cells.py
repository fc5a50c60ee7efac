"""Runs cells on a Ray cluster (extra `ray`): Ray Tune's grid search over the cells of a sweep.

    run_cells_on_ray(partial(find_paper, "lora", papers_dir), sweep, address="auto")

Results come back to this process, which writes the same files as without Ray. Every node needs
this package, and the data, the papers and RESEARCH_DATA_DIR under the same absolute paths.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

from research_repro.paper import Cell
from research_repro.runs.processes import Load, run_cell
from research_repro.runs.sweep import Sweep
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput, MissingExtra, Unavailable
from seedbed.safety.secrets import reason


def run_cells_on_ray(
    load: Load, sweep: Sweep, *, address: str, deadline: float | None = None
) -> None:
    """Run the pending cells on the cluster at `address`, those of 0 cores one by one at the end.

    For the rest see `processes.run_cells`. Raises MissingExtra without Ray, BadInput for an
    address of Ray Client, and Unavailable if the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read at the import
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    try:
        import ray
        from ray import tune
    except ImportError:
        raise MissingExtra("ray", "research-repro[ray]") from None
    if address.startswith("ray://"):  # Tune would run on the head node, without this sweep
        hint = "Run the command on a node of the cluster with RESEARCH_RAY_ADDRESS=auto."
        raise BadInput(f"{address} is an address of Ray Client, which cannot be used.", hint=hint)
    connected = ray.is_initialized()
    try:
        if not connected:
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise Unavailable(f"No Ray cluster at {address!r}: {reason(error)}") from error
    pending = sweep.pending()
    try:
        if cells := [cell for cell in pending if cell.cores]:
            _search(tune, load, sweep, cells, None, deadline)
        if cells := [cell for cell in pending if not cell.cores]:
            _search(tune, load, sweep, cells, 1, deadline)
    finally:
        if not connected:
            ray.shutdown()


def _search(
    tune: Any, load: Load, sweep: Sweep, cells: list[Cell], at_once: int | None, deadline: Any
) -> None:
    by_id = {cell.id: cell for cell in cells}
    shared = {"load": load, "cells": by_id, "workspace": sweep.workspace, "deadline": deadline}
    trial, report = tune.with_parameters(_trial, **shared), _report(tune, sweep, by_id)
    folder = str(sweep.workspace.folder / "ray")
    try:
        with redirect_stdout(sys.stderr):  # Tune prints tables
            tune.Tuner(
                tune.with_resources(trial, lambda trial: {"cpu": by_id[trial["cell"]].cores or 1}),
                param_space={"cell": tune.grid_search(list(by_id))},
                tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=at_once),
                run_config=tune.RunConfig(storage_path=folder, callbacks=[report], verbose=0),
            ).fit()
    except Exception as error:
        raise report.error or error from None


def _report(tune: Any, sweep: Sweep, by_id: Mapping[str, Cell]) -> Any:
    class Report(tune.Callback):  # type: ignore[misc]
        """Tune calls it in this process."""

        error: Exception | None = None  # Tune raises another one instead

        def on_trial_start(self, **info: Any) -> None:
            sweep.start(by_id[info["trial"].config["cell"]])

        def on_trial_result(self, **info: Any) -> None:
            try:
                if message := info["result"].get("message"):
                    sweep.receive(by_id[info["trial"].config["cell"]], message)
            except Exception as error:
                self.error = error
                raise

        def on_trial_error(self, **info: Any) -> None:
            sweep.fail(by_id[info["trial"].config["cell"]], "Its process on the cluster died.")

    return Report()


def _trial(
    config: Mapping[str, Any],
    load: Load,
    cells: Mapping[str, Cell],
    workspace: Workspace,
    deadline: float | None,
) -> None:
    """Run a cell in a process of the cluster, unless the time is up."""
    from ray import tune

    def send(message: Any) -> None:
        tune.report({"message": message})

    if deadline is None or time.time() < deadline:
        send(run_cell(load, cells[config["cell"]], workspace, send))
