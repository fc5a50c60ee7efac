"""The store of MLflow, in a folder or where MLFLOW_TRACKING_URI points."""

from pathlib import Path

import pytest

from seedbed.runs.tracking import mlflow_client, mlflow_experiment


@pytest.fixture
def store(monkeypatch, tmp_path):
    """A folder as MLflow's store, which needs neither a server nor a database."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return mlflow_client()


def test_mlflow_experiment_of_a_local_store_puts_artifacts_into_the_folder(store, monkeypatch):
    server = store.get_experiment(mlflow_experiment(store, "server", Path("/data")))
    assert server.artifact_location != "file:///data/mlartifacts"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    local = store.get_experiment(mlflow_experiment(store, "local", Path("/data")))
    assert local.artifact_location == "file:///data/mlartifacts"
