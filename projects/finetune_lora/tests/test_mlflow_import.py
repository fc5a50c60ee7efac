"""Finished runs in a real MLflow store (SQLite): what is logged, and what may fail."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from finetune_fakes import write_run

from finetune_lora.runs.mlflow_import import add_evaluation, import_run, show_mlflow
from finetune_lora.runs.run_folder import RunFolder, read_run
from seedbed.errors import ConfigError, Unavailable
from seedbed.runs.tracking import open_client
from seedbed.testing.launch import free_port

pytestmark = pytest.mark.timeout(300)  # MLflow's import and its first tables take seconds


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def data_dir(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One store for all tests, as its tables take MLflow seconds."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return store


def finished_run(folder: Path) -> Path:
    write_run(folder)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_text("weights")
    return folder


@pytest.mark.slow
def test_finished_run_is_logged(data_dir: Path) -> None:
    folder = finished_run(data_dir / "runs" / "first")
    run_id = import_run(folder, data_dir, "finetune_lora")
    client, ids = open_client(data_dir), read_run(folder)["mlflow"]
    assert ids["run_id"] == run_id
    logged = client.get_run(run_id)
    assert (logged.info.run_name, logged.info.status) == ("first", "FINISHED")
    assert logged.data.params["lr"] == "0.0001"
    assert logged.data.metrics["loss"] == pytest.approx(2 / 3)
    assert logged.data.metrics["eval_loss"] == 0.5
    losses = client.get_metric_history(run_id, "loss")
    assert [(m.step, m.value) for m in losses] == [(1, 2.0), (2, 1.0), (3, 2 / 3)]
    assert logged.data.tags["data_sha256"] == "ab"
    assert logged.data.tags["version.torch"]
    dataset = logged.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("train.jsonl", "ab")
    files = {f.path for f in client.list_artifacts(run_id)}
    assert files >= {"run.json", "progress.jsonl", "adapter_config.json"}

    assert import_run(folder, data_dir, "finetune_lora") == run_id
    assert len(client.search_runs([ids["experiment_id"]], f"tags.folder = '{folder}'")) == 1


@pytest.mark.slow
def test_evaluation_is_added_to_the_run(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = finished_run(data_dir / "runs" / "evaluated")
    assert not add_evaluation(folder, data_dir, {"exact_match": 0.9})  # not in MLflow
    run_id = import_run(folder, data_dir, "finetune_lora")
    assert run_id is not None
    (folder / "report").mkdir()
    (folder / "report" / "report.md").write_text("# Report")
    assert add_evaluation(folder, data_dir, {"exact_match": 0.9})
    client = open_client(data_dir)
    assert client.get_run(run_id).data.metrics["exact_match"] == 0.9
    assert [f.path for f in client.list_artifacts(run_id, "report")] == ["report/report.md"]
    RunFolder(folder).update(mlflow={"run_id": "0" * 32})
    with caplog.at_level(logging.WARNING):
        assert not add_evaluation(folder, data_dir, {"exact_match": 0.9})
    assert "Cannot log the evaluation to MLflow" in caplog.text


@pytest.mark.parametrize("uri", ["sqlite:////dev/null/x.db", "http://127.0.0.1:9", "nonsense://x"])
def test_unreachable_store_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    folder = finished_run(tmp_path / "a")
    with caplog.at_level(logging.WARNING):
        assert import_run(folder, tmp_path, "finetune_lora") is None
    (warning,) = [r for r in caplog.records if r.name.startswith("finetune_lora")]
    assert warning.getMessage().startswith("Cannot log this run to MLflow: ")
    assert "\n" not in warning.getMessage()
    assert "mlflow" not in read_run(folder)


def test_server_is_not_started_beside_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    with pytest.raises(ConfigError, match=r"Open http://127\.0\.0\.1:5000"):
        show_mlflow(tmp_path, 5000)


def test_taken_port_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Unavailable, match=r"in use\. Choose another with --port"):
            show_mlflow(tmp_path, taken.getsockname()[1])


@pytest.mark.slow
def test_mlflow_page_is_served(data_dir: Path, tmp_path: Path) -> None:
    port = free_port()
    program = "from pathlib import Path; import sys; "
    program += "from finetune_lora.runs.mlflow_import import show_mlflow; "
    program += "show_mlflow(Path(sys.argv[1]), int(sys.argv[2]))"
    command = [sys.executable, "-c", program, data_dir, str(port)]
    log = (tmp_path / "log").open("w")
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            assert _until(lambda: b"MLflow" in _get(f"http://127.0.0.1:{port}/"), 200), log.name
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    assert f"MLflow: http://127.0.0.1:{port}" in (tmp_path / "log").read_text()


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


def _until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.5)
    return False
