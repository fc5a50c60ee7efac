"""A finished run copied into MLflow: arguments, metrics, data and files.

    import_run(Path("var/run"), data_dir, "finetune_lora")      # after a training
    add_evaluation(Path("var/run"), data_dir, {"exact_match": 0.8})

The run folder is complete without MLflow, so whatever fails here is a warning. By default the store
is SQLite in the data folder; MLFLOW_TRACKING_URI names another.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune_lora.runs.run_folder import RunFolder, read_progress, read_run
from seedbed.errors import ConfigError
from seedbed.observe.logs_and_traces import silence_dependencies
from seedbed.runs.tracking import artifacts_uri, mlflow_experiment, open_client, tracking_uri
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logging.getLogger(__name__)
_BATCH = 1000  # metrics in one request, MLflow's maximum
_PARAMS = 100  # parameters in one request, MLflow's maximum
_NO_METRICS = {"step", "of", "left", "seconds"}
_RESULTS = ("train_loss", "seconds", "peak_memory_mb")
_FILES = ("run.json", "progress.jsonl", "task.json", "adapter_config.json", "README.md")


def import_run(folder: Path, data_dir: Path, experiment: str) -> str | None:
    """Copy a finished run into MLflow; the id of the MLflow run.

    A run that MLflow has already is left as it is. Returns None, after a warning, if it fails.
    """
    run = read_run(folder)
    if run.get("mlflow"):
        return str(run["mlflow"]["run_id"])
    try:
        client = open_client(data_dir)
        experiment_id = mlflow_experiment(client, experiment, data_dir)
        started, ended = _milliseconds(run["started"]), _milliseconds(run["ended"])
        created = client.create_run(
            experiment_id, start_time=started, run_name=run["name"], tags=_tags(run)
        )
        run_id = str(created.info.run_id)
        _log_run(client, run_id, run)
        _log_metrics(client, run_id, run)
        _log_files(client, run_id, folder)
        client.set_terminated(run_id, "FINISHED", ended)
    except Exception as error:  # an unreachable server, a locked file, a full disk …
        _log.warning(f"Cannot log this run to MLflow: {reason(error)}.")
        return None
    RunFolder(folder).update(mlflow={"run_id": run_id, "experiment_id": experiment_id})
    return run_id


def add_evaluation(folder: Path, data_dir: Path, figures: Mapping[str, float]) -> bool:
    """Add an evaluation's figures and `report/` to a run's MLflow run; False if that failed."""
    ids = read_run(folder).get("mlflow")
    if not ids:
        return False
    try:
        client = open_client(data_dir)
        for name, value in figures.items():
            client.log_metric(ids["run_id"], name, value)
        _log_files(client, ids["run_id"], folder)
    except Exception as error:  # the evaluation itself succeeded
        _log.warning(f"Cannot log the evaluation to MLflow: {reason(error)}.")
        return False
    return True


def show_mlflow(data_dir: Path, port: int) -> None:
    """Become MLflow's server on http://127.0.0.1:`port`; does not return.

    Raises ConfigError if MLFLOW_TRACKING_URI is a server already, Unavailable for a taken port.
    """
    from seedbed.server.service import bind

    uri = tracking_uri(data_dir)
    if uri.startswith(("http://", "https://")):
        raise ConfigError("MLFLOW_TRACKING_URI already points to a server.", hint=f"Open {uri}")
    bind("127.0.0.1", port).close()
    data_dir.mkdir(parents=True, exist_ok=True)
    silence_dependencies()
    # Its background jobs (judges, gateways) are four more processes that nothing here uses.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    options = {
        "--backend-store-uri": uri,
        "--default-artifact-root": artifacts_uri(data_dir),
        "--host": "127.0.0.1",
        "--port": str(port),
        "--workers": "1",
    }
    print(f"MLflow: http://127.0.0.1:{port}  (press Ctrl-C to stop)", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "mlflow", "server", *sum(options.items(), ())]
    os.execv(sys.executable, command)


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def _tags(run: Mapping[str, Any]) -> dict[str, str]:
    data = run.get("data") or {}
    commit = str(run.get("git_commit") or "")
    tags = {
        "mlflow.source.name": "finetune-lora train",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": commit.removesuffix("-dirty"),
        "git_dirty": str(commit.endswith("-dirty")).lower() if commit else "",
        "folder": str(Path(run["folder"]).absolute()),
        "base": run.get("base"),
        "base_hash": run.get("base_hash"),
        "data_sha256": data.get("sha256"),
        "prompt_hash": run.get("prompt_hash"),
        "python": run.get("python"),
        "platform": run.get("platform"),
        **{f"version.{name}": version for name, version in (run.get("versions") or {}).items()},
    }
    return {name: str(value) for name, value in tags.items() if value}


def _log_run(client: MlflowClient, run_id: str, run: Mapping[str, Any]) -> None:
    """The arguments as parameters, the data as MLflow's datasets."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    args = run.get("args") or {}
    params = [Param(name, str(value)) for name, value in args.items() if value is not None]
    client.log_batch(run_id, params=params[:_PARAMS])
    inputs = []
    for kind, data in (("training", run.get("data")), ("eval", run.get("eval_data"))):
        if data:
            source = json.dumps({"uri": data["path"]})
            profile = json.dumps({"num_rows": data.get("n")})
            name = Path(data["path"]).name[:500] or "data"
            entity = Dataset(name, data["sha256"][:36], "local", source, profile=profile)
            inputs.append(DatasetInput(entity, [InputTag("mlflow.data.context", kind)]))
    if inputs:
        client.log_inputs(run_id, inputs)


def _log_metrics(client: MlflowClient, run_id: str, run: Mapping[str, Any]) -> None:
    """Every step's figures at the time of the step, and the results at the last one."""
    from mlflow.entities import Metric

    started = _milliseconds(run["started"])
    metrics = []
    for line in read_progress(Path(run["folder"])):
        at = started + int(1000 * (line.get("seconds") or 0))
        figures = {name: value for name, value in line.items() if name not in _NO_METRICS}
        metrics += [Metric(name, v, at, line["step"]) for name, v in _finite(figures).items()]
    results = {name: (run.get("results") or {}).get(name) for name in _RESULTS}
    ended, last = _milliseconds(run["ended"]), int(run.get("steps") or 0)
    metrics += [Metric(name, value, ended, last) for name, value in _finite(results).items()]
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _BATCH])


def _finite(figures: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in figures.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }


def _log_files(client: MlflowClient, run_id: str, folder: Path) -> None:
    for name in _FILES:
        if (folder / name).exists():
            client.log_artifact(run_id, str(folder / name))
    if (folder / "report").is_dir():
        client.log_artifacts(run_id, str(folder / "report"), "report")
