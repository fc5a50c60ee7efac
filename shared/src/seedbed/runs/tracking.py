"""The MLflow store of a data folder: SQLite, unless MLFLOW_TRACKING_URI names another.

client = open_client(data_dir)
run = client.create_run(mlflow_experiment(client, "my_app", data_dir))
client.log_metric(run.info.run_id, "loss", 0.5)
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from seedbed.errors import MissingExtra
from seedbed.observe.logs_and_traces import silence_dependencies

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Environment variables of MLflow's client, whose defaults are 7 attempts of 120 s each.
_MLFLOW_VARIABLES = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def tracking_uri(data_dir: Path) -> str:
    """MLFLOW_TRACKING_URI, or the SQLite file of the data folder."""
    local = f"sqlite:///{(data_dir / 'mlflow.db').absolute().as_posix()}"
    return os.environ.get("MLFLOW_TRACKING_URI") or local


def artifacts_uri(data_dir: Path) -> str:
    """The folder of artifacts in the data folder, as a URI."""
    return (data_dir / "mlartifacts").absolute().as_uri()


def open_client(data_dir: Path) -> MlflowClient:
    """An `mlflow_client` of the store of this data folder, which is created."""
    data_dir.mkdir(parents=True, exist_ok=True)
    return mlflow_client(tracking_uri(data_dir))


def mlflow_client(uri: str | None = None) -> MlflowClient:
    """A client of the store at `uri` (None: MLFLOW_TRACKING_URI) with short timeouts.

    It logs errors only, sends no telemetry, and does not affect MLflow's global active run. The
    first call takes seconds, for MLflow's import. Raises MissingExtra.
    """
    silence_dependencies()
    for name, value in _MLFLOW_VARIABLES.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise MissingExtra("mlflow", "mlflow") from None
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(uri, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or uri)


def mlflow_experiment(client: MlflowClient, name: str, data_dir: Path | None = None) -> str:
    """The id of an experiment, which is created if it does not exist.

    MLFLOW_EXPERIMENT_NAME overrides `name`. A new experiment puts its artifacts into `data_dir`,
    unless MLFLOW_TRACKING_URI is set: only a server can tell where its artifacts go.
    """
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or name
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        files = artifacts_uri(data_dir) if data_dir else None
        if os.environ.get("MLFLOW_TRACKING_URI"):
            files = None
        try:
            return str(client.create_experiment(name, files))
        except MlflowException as error:
            # Another process may have created it in the meantime.
            experiment = client.get_experiment_by_name(name)
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or experiment is None:
                raise
    return str(experiment.experiment_id)
