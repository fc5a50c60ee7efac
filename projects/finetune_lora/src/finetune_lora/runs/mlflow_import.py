"""A finished run copied into MLflow: arguments, metrics and files.

    import_run(Path("var/run"), data_dir)      # after a training
    add_evaluation(Path("var/run"), data_dir, {"exact_match": 0.8})

The run folder is complete without MLflow, so whatever fails here is a warning. By default the store
is SQLite in the data folder; MLFLOW_TRACKING_URI names another.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
_METRICS = ("loss", "eval_loss", "lr", "grad_norm", "epoch", "tokens", "tokens_per_second")
_RESULTS = ("train_loss", "seconds", "peak_memory_mb")
_FILES = ("run.json", "progress.jsonl", "task.json", "adapter_config.json", "README.md")


def import_run(folder: Path, data_dir: Path) -> None:
    """Copy a finished run into MLflow; its id there is then in run.json as `mlflow_run`."""
    run = read_run(folder)
    with _failing_as_warning("this run"):
        client = open_client(data_dir)
        from mlflow.entities import Param

        created = client.create_run(
            mlflow_experiment(client, "finetune_lora", data_dir),
            start_time=_milliseconds(run["started"]),
            run_name=run["name"],
            tags=_tags(run),
        )
        run_id = str(created.info.run_id)
        client.log_batch(run_id, params=[Param(k, str(v)) for k, v in run["args"].items()])
        metrics = _metrics(run)
        for start in range(0, len(metrics), _BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + _BATCH])
        _log_files(client, run_id, folder)
        client.set_terminated(run_id, "FINISHED", _milliseconds(run["ended"]))
        RunFolder(folder).update(mlflow_run=run_id)


def add_evaluation(folder: Path, data_dir: Path, figures: Mapping[str, float]) -> None:
    """Add an evaluation's figures and `report/` to a run's MLflow run, if it has one."""
    run_id = read_run(folder).get("mlflow_run")
    if not run_id:
        return
    with _failing_as_warning("the evaluation"):
        client = open_client(data_dir)
        for name, value in figures.items():
            client.log_metric(run_id, name, value)
        _log_files(client, run_id, folder)


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
    print(f"MLflow: http://127.0.0.1:{port}  (press Ctrl-C to stop)", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", uri, "--default-artifact-root", artifacts_uri(data_dir)]
    os.execv(sys.executable, [*command, *store])


@contextmanager
def _failing_as_warning(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # an unreachable server, a locked file, a full disk …
        _log.warning(f"Cannot log {what} to MLflow: {reason(error)}.")


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)


def _tags(run: Mapping[str, Any]) -> dict[str, str]:
    names = ("base", "base_hash", "folder", "git_commit")
    tags = {name: run.get(name) for name in names} | {"data_sha256": run["data"]["sha256"]}
    return {name: str(value) for name, value in tags.items() if value}


def _metrics(run: Mapping[str, Any]) -> list[Any]:
    """Every step's figures at the time of the step, and the results at the end."""
    from mlflow.entities import Metric

    started, ended = _milliseconds(run["started"]), _milliseconds(run["ended"])
    figures = [(name, run["results"].get(name), ended, run["steps"]) for name in _RESULTS]
    for line in read_progress(Path(run["folder"])):
        at = started + int(1000 * line.get("seconds", 0))
        figures += [(name, line.get(name), at, line["step"]) for name in _METRICS]
    return [Metric(name, value, *when) for name, value, *when in figures if value is not None]


def _log_files(client: MlflowClient, run_id: str, folder: Path) -> None:
    for name in _FILES:
        if (folder / name).exists():
            client.log_artifact(run_id, str(folder / name))
    if (folder / "report").is_dir():
        client.log_artifacts(run_id, str(folder / "report"), "report")
