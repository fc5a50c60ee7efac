"""The whole job, the demo and what they say, on a base small enough for a test."""

import json
import socket
import sys
import time
from pathlib import Path

import pytest
from finetune_fakes import tiny_base

from finetune_lora.config import Config
from finetune_lora.jobs import demo
from finetune_lora.jobs.evaluate_job import helpdesk, newest, shots, with_system
from finetune_lora.jobs.whole_job import run, write_task
from seedbed.errors import NotFound
from seedbed.testing.launch import free_port, run_server


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FINETUNE_DATA_DIR", str(tmp_path / "data"))
    base = tiny_base(tmp_path / "base", window=4096)
    config = Config(data_dir=tmp_path / "data", max_minutes=0.05)
    rows = helpdesk("handwritten").read_text("utf-8").splitlines()[::10]
    (tmp_path / "test.jsonl").write_text("\n".join(rows))
    result = run(config, base=base, requests=64, test=str(tmp_path / "test.jsonl"))
    folder = newest()
    said = capsys.readouterr().out
    assert "Exact match on 13 hand-written requests" in said
    assert f"path:{folder / 'model'}" in said.partition("Next:")[2]
    report = json.loads((folder / "report" / "report.json").read_text("utf-8"))
    assert report["exact_match"] == result["exact_match"]
    assert list(report["systems"]) == [
        "base",
        "base, 10 shots",
        "most frequent answer",
        "nearest training request",
        "adapter",
        "served",
    ]
    assert report["system"] == "served"
    assert report["schema_valid"] == 1  # the server enforces the learned schema
    assert (folder / "README.md").read_text("utf-8").startswith("---\n")
    assert (folder / "model" / "openvino_model.xml").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", ["at its start", "in training"])
def test_page_ends_with_the_job(tmp_path: Path, when: str) -> None:
    port, base = free_port(), tiny_base(tmp_path / "base", window=4096)
    command = [sys.executable, "-m", "finetune_lora", "run", "--port", str(port)]
    environment = {"FINETUNE_DATA_DIR": str(tmp_path / "data"), "FINETUNE_MODEL": str(base)}
    with run_server(command, port, env=environment) as job:
        while when == "in training" and not list(tmp_path.glob("data/**/progress.jsonl")):
            assert job.poll() is None
            time.sleep(0.1)
        job.terminate()
        assert job.wait(60) == 130
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))  # raises while the page still listens


def test_without_a_run_there_is_no_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_DATA_DIR", str(tmp_path))
    with pytest.raises(NotFound, match=r"Run: .*finetune-lora run"):
        newest()


def test_the_demo_says_what_is_wrong() -> None:
    right = json.dumps({"name": "none", "arguments": {}})
    assert demo.problems([4.0, 3.9, 3.8, 1.0, 0.9, 0.8], [right]) == []
    assert "the loss only fell" in demo.problems([4.0, 3.9, 3.8, 3.7, 3.6, 3.5], [right])[0]
    assert demo.problems([4.0, 4.0, 4.0, 1.0, 1.0, 1.0], [right, "{"]) == [
        "not every answer is a valid tool call"
    ]


def test_requests_get_the_prompt_that_was_trained_with(tmp_path: Path) -> None:
    from finetune_lora.data.read import load_dataset

    write_task(tmp_path, 30)
    made = load_dataset(tmp_path / "train.jsonl")
    assert len(made) == 30
    assert len(load_dataset(tmp_path / "dev.jsonl")) == 80
    assert with_system(made, "another").examples == made.examples
    assert len({e.tags["tool"] for e in shots(made)}) == len(shots(made))
