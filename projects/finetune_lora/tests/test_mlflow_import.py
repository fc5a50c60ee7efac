"""Finished runs in a real MLflow store (SQLite): what is logged, and what may fail."""

from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path

import httpx
import pytest
from finetune_fakes import write_run

from finetune_lora.runs.mlflow_import import add_evaluation, import_run, show_mlflow
from finetune_lora.runs.run_folder import read_run
from seedbed.errors import ConfigError, Unavailable
from seedbed.runs.tracking import open_client
from seedbed.testing.launch import free_port, run_server

pytestmark = pytest.mark.timeout(300)  # MLflow's import and its first tables take seconds


@pytest.mark.slow
def test_run_and_its_evaluation_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = write_run(tmp_path / "runs" / "first")
    add_evaluation(folder, tmp_path, {"exact_match": 0.9})  # not in MLflow: nothing happens
    import_run(folder, tmp_path)
    client, run_id = open_client(tmp_path), read_run(folder)["mlflow_run"]
    logged = client.get_run(run_id)
    assert (logged.info.run_name, logged.info.status) == ("first", "FINISHED")
    assert logged.data.params["lr"] == "0.0001"
    assert logged.data.metrics["eval_loss"] == 0.5
    losses = client.get_metric_history(run_id, "loss")
    assert [(m.step, m.value) for m in losses] == [(1, 2.0), (2, 1.0), (3, 2 / 3)]
    assert logged.data.tags["data_sha256"] == "ab"
    (folder / "report").mkdir()
    (folder / "report" / "report.md").write_text("# Report")
    add_evaluation(folder, tmp_path, {"exact_match": 0.0})
    assert client.get_run(run_id).data.metrics["exact_match"] == 0
    assert [f.path for f in client.list_artifacts(run_id, "report")] == ["report/report.md"]
    assert {f.path for f in client.list_artifacts(run_id)} >= {"run.json", "progress.jsonl"}

    port, env = free_port(), {"FINETUNE_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "finetune_lora", "mlflow", "--port", str(port)]
    with run_server(command, port, "/", 200, env=env):
        assert "MLflow" in httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text


@pytest.mark.parametrize("uri", ["sqlite:////dev/null/x.db", "http://127.0.0.1:9", "nonsense://x"])
def test_unreachable_store_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    folder = write_run(tmp_path / "a")
    with caplog.at_level(logging.WARNING):
        import_run(folder, tmp_path)
    (warning,) = [r for r in caplog.records if r.name.startswith("finetune_lora")]
    assert warning.getMessage().startswith("Cannot log this run to MLflow: ")
    assert "\n" not in warning.getMessage()
    assert "mlflow_run" not in read_run(folder)


def test_mlflow_needs_a_free_port_and_a_local_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Unavailable, match=r"in use\. Choose another with --port"):
            show_mlflow(tmp_path, taken.getsockname()[1])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    with pytest.raises(ConfigError, match=r"Open http://127\.0\.0\.1:5000"):
        show_mlflow(tmp_path, 5000)
