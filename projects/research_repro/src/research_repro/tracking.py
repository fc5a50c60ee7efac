"""Outcomes in MLflow: one run each, with a nested run per cell and the results file.

    log_outcome(outcome, config.data_dir)

The store is SQLite in the data folder; MLFLOW_TRACKING_URI names another. To look at it:
`mlflow ui --backend-store-uri sqlite:///var/research_repro/mlflow.db`.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from research_repro.results import Outcome, outcome_json
from seedbed.files import to_json
from seedbed.runs.tracking import mlflow_experiment, open_client
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    from mlflow import MlflowClient

_Facts = Mapping[str, Any]
_LONGEST = 5000  # characters of a tag or parameter; MLflow refuses longer ones
_logger = logging.getLogger(__name__)


def log_outcome(outcome: Outcome, data_dir: Path) -> str | None:
    """Log an outcome as a finished run and return its id; None after a failure, with a warning."""
    try:
        client = open_client(data_dir)
        experiment = mlflow_experiment(client, "research_repro", data_dir)
        name, status = f"{outcome.paper}-{outcome.scale}", "FAILED"
        run = client.create_run(experiment, tags=_tags(outcome), run_name=name)
        run_id = str(run.info.run_id)
        try:
            _log_claims(client, run_id, outcome)
            for cell_id, cell in outcome.cells.items():
                _log_cell(client, experiment, run_id, cell_id, cell)
            client.log_text(run_id, to_json(outcome_json(outcome), indent=2), f"{name}.json")
            status = "FINISHED"
        finally:
            with suppress(Exception):
                client.set_terminated(run_id, status)
    except Exception as error:  # no server, a locked file, a full disk: the results are stored
        _logger.warning("Cannot log this run to MLflow: %s. The results are stored.", reason(error))
        return None
    return run_id


def _tags(outcome: Outcome) -> dict[str, str]:
    """Code, machine and libraries; of nested facts one tag each, such as `versions.torch`."""
    tags = {
        "mlflow.source.name": f"research-repro run {outcome.paper} --scale {outcome.scale}",
        "mlflow.source.git.commit": str(outcome.about.get("commit") or "").removesuffix("-dirty"),
        "data_sha256": outcome.data_sha256,
        **dict(_flat(outcome.about)),
    }
    return {_name(key): str(value)[:_LONGEST] for key, value in tags.items() if value}


def _log_claims(client: MlflowClient, run_id: str, outcome: Outcome) -> None:
    """The run's parameters, and for each claim its mean and whether it holds (1 or 0)."""
    params = {key: getattr(outcome, key) for key in ("paper", "scale", "version", "seeds")}
    metrics: dict[str, Any] = {"seconds": outcome.seconds}
    for verdict in outcome.verdicts:
        metrics |= {verdict.id: verdict.measured, f"{verdict.id}.holds": verdict.holds}
    _log_batch(client, run_id, params, metrics)


def _log_cell(client: MlflowClient, experiment: str, parent: str, id_: str, cell: Any) -> None:
    run = client.create_run(experiment, tags={"mlflow.parentRunId": parent}, run_name=id_)
    run_id = run.info.run_id
    params = {"cell": cell["name"], "seed": cell["seed"], **dict(_flat(cell["settings"]))}
    _log_batch(client, run_id, params, {"seconds": cell["seconds"], **dict(_flat(cell["result"]))})
    client.set_terminated(run_id)


def _log_batch(client: MlflowClient, run_id: str, params: _Facts, metrics: _Facts) -> None:
    """Log parameters, and of the metrics those that are finite numbers."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    numbers = {k: float(v) for k, v in metrics.items() if isinstance(v, (bool, int, float))}
    client.log_batch(
        run_id,
        [Metric(_name(k), v, now, 0) for k, v in numbers.items() if math.isfinite(v)][:1000],
        [Param(_name(k), str(v)[:_LONGEST]) for k, v in params.items()][:100],
    )


def _flat(values: _Facts, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of every leaf, e.g. ("versions.torch", "2.13")."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _name(text: str) -> str:
    return re.sub(r"[^\w./ -]", "_", text)[:250]
