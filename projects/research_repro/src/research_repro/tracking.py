"""Outcomes in MLflow: one run each, with the claims as metrics and the results file.

    log_outcome(outcome, config.data_dir)

The store is SQLite in the data folder; MLFLOW_TRACKING_URI names another. To look at it:
`mlflow ui --backend-store-uri sqlite:///var/research_repro/mlflow.db`.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import asdict
from pathlib import Path

from research_repro.results import Outcome
from seedbed.runs.tracking import mlflow_experiment, open_client
from seedbed.safety.secrets import reason

_logger = logging.getLogger(__name__)


def log_outcome(outcome: Outcome, data_dir: Path) -> str | None:
    """Log an outcome as a finished run and return its id; None after a failure, with a warning."""
    name = f"{outcome.paper}-{outcome.scale}"
    commits = {cell["origin"].get("commit") or "not recorded" for cell in outcome.cells.values()}
    tags = {
        "mlflow.source.name": f"research-repro run {outcome.paper} --scale {outcome.scale}",
        "mlflow.source.git.commit": str(outcome.judged["commit"] or "").removesuffix("-dirty"),
        "cells.commits": ", ".join(sorted(commits))[:5000],
    }
    try:
        client = open_client(data_dir)
        experiment = mlflow_experiment(client, "research_repro", data_dir)
        run_id = str(client.create_run(experiment, tags=tags, run_name=name).info.run_id)
        for key in ("paper", "scale", "seeds"):
            client.log_param(run_id, key, getattr(outcome, key))
        client.log_metric(run_id, "seconds", outcome.seconds)
        for verdict in outcome.verdicts:
            key = re.sub(r"[^\w./ -]", "_", verdict.id)
            if verdict.measured is not None:
                client.log_metric(run_id, key, verdict.measured)
            if verdict.holds is not None:
                client.log_metric(run_id, f"{key}.holds", float(verdict.holds))
        client.log_text(run_id, json.dumps(asdict(outcome), indent=1), f"{name}.json")
        client.set_terminated(run_id)
    except Exception as error:  # no server, a locked file, a full disk: the results are stored
        _logger.warning("Cannot log this run to MLflow: %s. The results are stored.", reason(error))
        return None
    return run_id
