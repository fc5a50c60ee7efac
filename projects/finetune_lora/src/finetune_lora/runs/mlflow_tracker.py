"""Runs in MLflow: arguments, metrics, data, code and environment, files, and a registered model.

`MlflowTracker` listens to a trainer's events. All of MLflow, its import of some seconds too, is
left to a thread, and whatever fails there is one warning: training goes on. By default the store is
SQLite in the data folder; MLFLOW_TRACKING_URI names another. It knows no tensors.
"""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune_lora.runs.mlflow_registry import register
from finetune_lora.runs.run_folder import RunFolder, read_run
from seedbed.errors import ConfigError
from seedbed.observe.startup import silence_dependencies
from seedbed.runs.tracking import artifacts_uri, mlflow_experiment, open_client, tracking_uri
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logging.getLogger(__name__)
_FLUSH_S = 5.0
_BATCH = 1000  # metrics in one request, at most
_NO_METRICS = {"step", "of", "left", "seconds"}
_RESULTS = ("train_loss", "seconds", "peak_memory_mb")
_FILES = ("run.json", "progress.jsonl", "task.json", "adapter_config.json", "README.md")
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}

Event = Mapping[str, Any]


class MlflowTracker:
    """Copies a run into MLflow: call it with each event, after `run` has been called with it.

    A resumed run goes on as the run it was. A finished one becomes a version of the registered
    model `register` (None: no version). At its end it waits at most `wait_s` for MLflow.
    """

    def __init__(
        self,
        run: RunFolder,
        data_dir: Path,
        *,
        experiment: str = "finetune_lora",
        register: str | None = "finetune_lora",
        wait_s: float = 60.0,
        warn: Callable[[str], None] = _log.warning,
    ) -> None:
        self._run, self._data_dir, self._experiment = run, Path(data_dir), experiment
        self._register, self._wait_s, self._warn = register, wait_s, warn
        self._events: queue.Queue[tuple[int, Event]] = queue.Queue()
        self._waiting: list[tuple[int, Event]] = []
        self._client: MlflowClient | None = None
        self._thread: threading.Thread | None = None
        self._warned = False

    def __call__(self, event: Event) -> None:
        self._events.put((int(time.time() * 1000), event))
        if event["event"] == "start":
            self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
            self._thread.start()
        elif event["event"] == "end" and self._thread:
            wait_s = min(self._wait_s, 10.0) if self._warned else self._wait_s
            self._thread.join(wait_s)
            if self._thread.is_alive():
                self._say(f"MLflow did not record the end of the run within {wait_s:.0f} s.")

    def _work(self) -> None:
        ended = False
        while not ended:
            time_to_flush = time.monotonic() + _FLUSH_S
            while not ended and (left := time_to_flush - time.monotonic()) > 0:
                try:
                    timed = self._events.get(timeout=left)
                except queue.Empty:
                    break
                self._waiting.append(timed)
                ended = timed[1]["event"] == "end"
            try:
                self._deliver()
            except Exception as error:  # a server away, a locked file, a full disk, anything
                self._say(f"Cannot log this run to MLflow: {reason(error)}. Training continues.")

    def _say(self, text: str) -> None:
        if not self._warned:  # it tries again with the next metrics, and need not repeat itself
            self._warn(text)
        self._warned = True

    def _deliver(self) -> None:
        """Send what waits; it goes on waiting if MLflow raises."""
        if self._client is None:
            self._client, self._id = self._open()
        self._send_metrics(self._client)
        for _, event in self._waiting:
            if event["event"] == "end":
                self._end(self._client, event)
        self._waiting.clear()

    def _send_metrics(self, client: MlflowClient) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, at, event.get("step", event.get("steps")) or 0)
            for at, event in self._waiting
            for name, value in _figures(event).items()
        ]
        for start in range(0, len(metrics), _BATCH):
            client.log_batch(self._id, metrics=metrics[start : start + _BATCH])
        self._waiting = [timed for timed in self._waiting if timed[1]["event"] == "end"]

    def _open(self) -> tuple[MlflowClient, str]:
        client = open_client(self._data_dir)
        run = read_run(self._run.path)
        known = run.get("mlflow")
        if known and _goes_on(client, known["run_id"]):
            return client, known["run_id"]
        experiment = mlflow_experiment(client, self._experiment, self._data_dir)
        started = client.create_run(experiment, run_name=run["name"], tags=_tags(run))
        run_id = started.info.run_id
        self._run.update(mlflow={"run_id": run_id, "experiment_id": experiment})
        _describe(client, run_id, run)
        return client, run_id

    def _end(self, client: MlflowClient, event: Event) -> None:
        _log_files(client, self._id, self._run.path)
        client.set_terminated(self._id, _STATUS.get(event["state"], "FINISHED"))
        whole = (self._run.path / "adapter_config.json").exists()
        if self._register and event["state"] == "finished" and whole:
            known = read_run(self._run.path)
            version = register(client, self._register, self._run.path, known)
            model = {"model": self._register, "version": version}
            self._run.update(mlflow={**known["mlflow"], **model})


def log_results(folder: Path, data_dir: Path, figures: Mapping[str, float]) -> bool:
    """Add an evaluation's figures and `report/` to a run's MLflow run; False if that failed."""
    known = read_run(folder).get("mlflow")
    if not known:
        return False
    try:
        client = open_client(data_dir)
        for name, value in figures.items():
            client.log_metric(known["run_id"], name, value)
        _log_files(client, known["run_id"], Path(folder))
    except Exception as error:  # the evaluation is what counts
        _log.warning(f"Cannot log the evaluation to MLflow: {reason(error)}.")
        return False
    return True


def show_mlflow(data_dir: Path, port: int) -> None:
    """Become MLflow's server on http://127.0.0.1:`port`; does not return.

    Raises ConfigError where MLFLOW_TRACKING_URI is a server already, Unavailable for a taken port.
    """
    from seedbed.server.service import bind

    uri = tracking_uri(data_dir)
    if uri.startswith(("http://", "https://")):
        raise ConfigError("MLFLOW_TRACKING_URI already points to a server.", hint=f"Open {uri}")
    bind("127.0.0.1", port).close()
    Path(data_dir).mkdir(parents=True, exist_ok=True)
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


def _goes_on(client: MlflowClient, run_id: str) -> bool:
    """Take up a run again; False if this store does not have it."""
    from mlflow.exceptions import MlflowException, RestException

    try:
        client.update_run(run_id, status="RUNNING")
    except (MlflowException, RestException) as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


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


def _describe(client: MlflowClient, run_id: str, run: Mapping[str, Any]) -> None:
    """The arguments as parameters, the data as MLflow's datasets."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    args = run.get("args") or {}
    params = [Param(name, str(value)) for name, value in args.items() if value is not None]
    client.log_batch(run_id, params=params[:100])
    inputs = []
    for kind, data in (("training", run.get("data")), ("eval", run.get("eval_data"))):
        if data:
            source = json.dumps({"uri": data["path"]})
            profile = json.dumps({"num_rows": data.get("n")})
            name = Path(data["path"]).name[:500] or "data"
            known = Dataset(name, data["sha256"][:36], "local", source, profile=profile)
            inputs.append(DatasetInput(known, [InputTag("mlflow.data.context", kind)]))
    if inputs:
        client.log_inputs(run_id, inputs)


def _figures(event: Event) -> dict[str, float]:
    """The metrics of an event: of its end only what no step has said."""
    kind = event["event"]
    if kind not in ("step", "eval", "end"):
        return {}
    names = _RESULTS if kind == "end" else [name for name in event if name not in _NO_METRICS]
    found = {name: event.get(name) for name in names}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, (int, float)) and math.isfinite(value)
    }


def _log_files(client: MlflowClient, run_id: str, folder: Path) -> None:
    for name in _FILES:
        if (folder / name).exists():
            client.log_artifact(run_id, str(folder / name))
    if (folder / "report").is_dir():
        client.log_artifacts(run_id, str(folder / "report"), "report")
