"""Runs in a real MLflow store (SQLite): what is logged, resumed, registered, and what may fail."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetune_lora.runs.mlflow_tracker import MlflowTracker, log_results, show_mlflow
from finetune_lora.runs.run_folder import RunFolder, read_run
from seedbed.errors import ConfigError, Unavailable
from seedbed.runs.tracking import open_client, tracking_uri
from seedbed.testing.launch import free_port

pytestmark = pytest.mark.timeout(300)  # MLflow's import and its first tables take seconds

START = {
    "event": "start",
    "args": {"lr": 1e-4, "r": 16, "seed": 7, "eval_data": None, "resume": False},
    "base": "smollm2",
    "base_hash": "ff",
    "data": {"path": "data/helpdesk.jsonl", "sha256": "ab" * 32, "n": 3},
    "prompt_hash": "cd",
    "steps": 4,
}
END = {"event": "end", "state": "finished", "steps": 4, "seconds": 9.5, "train_loss": 0.5}


def step(n: int) -> dict[str, Any]:
    return {"event": "step", "step": n, "of": 4, "loss": 2.0 / n, "grad_norm": float("nan")}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def data_dir(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One store for all tests, as its tables take MLflow seconds."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return store


def track(run: RunFolder, data_dir: Path, *events: dict[str, Any], **options: Any) -> list[str]:
    """Tell a run and its tracker some events; the warnings."""
    said: list[str] = []
    tracker = MlflowTracker(run, data_dir, wait_s=250, warn=said.append, **options)
    for event in events:
        run(event)
        tracker(event)
    return said


@pytest.mark.slow
def test_a_run_is_logged_and_registered(data_dir: Path) -> None:
    run = RunFolder(data_dir / "runs" / "first")
    run.path.mkdir(parents=True)
    (run.path / "adapter_config.json").write_text("{}")
    (run.path / "adapter_model.safetensors").write_text("weights")
    evaluated = {"event": "eval", "step": 4, "eval_loss": 0.75}
    assert track(run, data_dir, START, *map(step, range(1, 5)), evaluated, END) == []

    client, known = open_client(data_dir), read_run(run.path)["mlflow"]
    logged = client.get_run(known["run_id"])
    assert (logged.info.run_name, logged.info.status) == ("first", "FINISHED")
    assert logged.data.params == {"lr": "0.0001", "r": "16", "seed": "7", "resume": "False"}
    assert logged.data.metrics == {
        "loss": 0.5,
        "eval_loss": 0.75,
        "train_loss": 0.5,
        "seconds": 9.5,
    }
    losses = client.get_metric_history(known["run_id"], "loss")
    assert [(m.step, m.value) for m in losses] == [(1, 2.0), (2, 1.0), (3, 2.0 / 3), (4, 0.5)]
    tags = logged.data.tags
    assert (tags["prompt_hash"], tags["data_sha256"]) == ("cd", "ab" * 32)
    assert tags["version.torch"]
    dataset = logged.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("helpdesk.jsonl", ("ab" * 32)[:36])
    assert {f.path for f in client.list_artifacts(known["run_id"])} >= {
        "run.json",
        "progress.jsonl",
        "adapter_config.json",
    }

    version = client.get_model_version(known["model"], known["version"])
    assert version.run_id == known["run_id"]
    assert version.tags["folder"] == str(run.path)
    logged_models = client.search_logged_models([known["experiment_id"]])
    (model,) = [m for m in logged_models if m.source_run_id == known["run_id"]]
    assert str(model.status) == "READY"
    files = {path.name for path in data_dir.joinpath("mlartifacts").rglob("*")}
    assert {"MLmodel", "adapter_model.safetensors", "mlflow_model.py"} <= files


@pytest.mark.slow
def test_an_evaluation_is_added(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = RunFolder(data_dir / "runs" / "evaluated")
    assert not log_results(_started(run), data_dir, {"exact_match": 0.9})  # not in MLflow: nothing
    track(run, data_dir, START, END)
    (run.path / "report").mkdir()
    (run.path / "report" / "report.md").write_text("# Report")
    assert log_results(run.path, data_dir, {"exact_match": 0.9})
    client, run_id = open_client(data_dir), read_run(run.path)["mlflow"]["run_id"]
    assert client.get_run(run_id).data.metrics["exact_match"] == 0.9
    assert [f.path for f in client.list_artifacts(run_id, "report")] == ["report/report.md"]
    run.update(mlflow={"run_id": "0" * 32})
    with caplog.at_level(logging.WARNING):
        assert not log_results(run.path, data_dir, {"exact_match": 0.9})
    assert "Cannot log the evaluation to MLflow" in caplog.text


def _started(run: RunFolder) -> Path:
    run(START)
    return run.path


@pytest.mark.slow
def test_a_resumed_run_is_the_same_run(data_dir: Path) -> None:
    run = RunFolder(data_dir / "runs" / "resumed")
    again = START | {"args": {**START["args"], "resume": True}}  # type: ignore[dict-item]
    assert track(run, data_dir, START, step(1), step(2), END | {"state": "stopped"}) == []
    known = read_run(run.path)["mlflow"]
    client = open_client(data_dir)
    assert client.get_run(known["run_id"]).info.status == "KILLED"

    resumed = {"event": "resume", "step": 1}
    assert track(RunFolder(run.path), data_dir, again, resumed, step(2), step(3), END) == []
    assert read_run(run.path)["mlflow"] == known
    history = client.get_metric_history(known["run_id"], "loss")
    assert sorted({m.step for m in history}) == [1, 2, 3]
    assert client.get_run(known["run_id"]).info.status == "FINISHED"

    run.update(mlflow={"run_id": "0" * 32})  # of a store that is no longer there
    assert track(RunFolder(run.path), data_dir, again, step(1), END) == []
    assert read_run(run.path)["mlflow"]["run_id"] not in ("0" * 32, known["run_id"])


@pytest.mark.parametrize("uri", ["sqlite:////dev/null/x.db", "http://127.0.0.1:9", "nonsense://x"])
def test_training_goes_on_without_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    run = RunFolder(tmp_path / "a")
    said = track(run, tmp_path, START, step(1), END)
    assert len(said) == 1
    assert said[0].startswith("Cannot log this run to MLflow: ")
    assert "\n" not in said[0]
    assert read_run(run.path)["state"] == "finished"
    assert "mlflow" not in read_run(run.path)


def test_training_does_not_wait_for_mlflow(tmp_path: Path) -> None:
    class Slow(MlflowTracker):
        def _deliver(self) -> None:
            done.wait(200)

    done, said = threading.Event(), []  # type: ignore[var-annotated]
    run = RunFolder(tmp_path / "a")
    slow = Slow(run, tmp_path, wait_s=0.2, warn=said.append)
    begun = time.monotonic()
    for event in (START, step(1), END):
        slow(event)
    done.set()
    assert time.monotonic() - begun < 100
    assert said == ["MLflow did not record the end of the run within 0 s."]


def test_a_server_needs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    with pytest.raises(ConfigError, match=r"Open http://127\.0\.0\.1:5000"):
        show_mlflow(tmp_path, 5000)


def test_a_taken_port_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Unavailable, match=r"in use\. Choose another with --port"):
            show_mlflow(tmp_path, taken.getsockname()[1])


LOAD = """
import sys, mlflow
model = mlflow.pyfunc.load_model(f"models:/finetune_lora/{sys.argv[1]}")
rows = [{"messages": [{"role": "user", "content": text}]} for text in ("reset the password", "hi")]
print("answers", len(model.predict(rows, params={"max_new_tokens": 3})))
"""


@pytest.mark.slow
def test_a_registered_version_answers(data_dir: Path) -> None:
    """Loaded by name in another process, offline, it answers with the adapter."""
    from finetune_lora.model.adapter import AdapterOptions, attach, save_adapter
    from finetune_lora.model.base import load_base
    from finetune_lora.testing import tiny_base

    base = load_base(tiny_base(data_dir / "tiny"))
    run = RunFolder(data_dir / "runs" / "real")
    run.path.mkdir(parents=True)
    task = {"base": base.spec, "base_hash": base.hash, "labels": []}
    save_adapter(attach(base, AdapterOptions(r=2)), base.tokenizer, run.path, task)
    assert track(run, data_dir, START, END) == []

    version = read_run(run.path)["mlflow"]["version"]
    env = os.environ | {"MLFLOW_TRACKING_URI": tracking_uri(data_dir), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, version], env=env, capture_output=True, text=True, check=False
    )
    assert "answers 2" in done.stdout, done.stderr


@pytest.mark.slow
def test_its_page(data_dir: Path, tmp_path: Path) -> None:
    port = free_port()
    program = "from pathlib import Path; import sys; "
    program += "from finetune_lora.runs.mlflow_tracker import show_mlflow; "
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
