"""The whole job and the demo, on a base small enough for a test."""

import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from finetune_fakes import tiny_base
from transformers import AutoModelForCausalLM

from finetune_lora.config import Config
from finetune_lora.data import read
from finetune_lora.helpdesk import requests_file
from finetune_lora.jobs import demo
from finetune_lora.jobs.evaluate_job import newest
from finetune_lora.jobs.whole_job import run
from seedbed.errors import NotFound
from seedbed.testing.launch import free_port, run_server


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whole_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FINETUNE_DATA_DIR", str(tmp_path / "data"))
    calls: Counter[Any] = Counter()

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def count(source: Any, *arguments: Any, **options: Any) -> Any:
            calls[source] += 1
            return call(source, *arguments, **options)

        return count

    monkeypatch.setattr(read, "read_rows", counted(read.read_rows))
    model = AutoModelForCausalLM
    monkeypatch.setattr(model, "from_pretrained", counted(model.from_pretrained))
    base = tiny_base(tmp_path / "base", window=4096)
    rows = requests_file("handwritten").read_text("utf-8").splitlines()[::10]
    (tmp_path / "test.jsonl").write_text("\n".join(rows))
    config = Config(data_dir=tmp_path / "data", max_minutes=0.05)
    result = run(config, base=base, requests=64, test=str(tmp_path / "test.jsonl"))
    assert calls[tmp_path / "base"] == 2  # for the training, and for export and evaluation
    parsed = [*(tmp_path / "data/data/helpdesk").iterdir(), tmp_path / "test.jsonl"]
    assert {calls[file] for file in parsed} == {1}
    assert all(calls[requests_file(name)] <= 1 for name in ("train", "dev"))  # or read before
    folder, printed = newest(), capsys.readouterr().out
    assert "Exact match on 13 hand-written requests" in printed
    assert f"path:{folder / 'model'}" in printed.partition("Next:")[2]
    report = json.loads((folder / "report" / "report.json").read_text("utf-8"))
    assert report["exact_match"] == result["exact_match"]
    assert list(report["systems"]) == [
        *("base", "base, 10 shots", "most frequent answer", "nearest training request"),
        *("adapter", "served"),
    ]
    assert report["system"] == "served"
    assert report["schema_valid"] == 1  # the server enforces the learned schema
    assert (folder / "README.md").read_text("utf-8").startswith("---\n")
    assert (folder / "model" / "openvino_model.xml").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_page_ends_with_the_job(tmp_path: Path) -> None:
    port, base = free_port(), tiny_base(tmp_path / "base", window=4096)
    command = [sys.executable, "-m", "finetune_lora", "run", "--port", str(port), "--base", base]
    env = {"FINETUNE_DATA_DIR": str(tmp_path / "data")}
    with run_server(command, port, timeout=200, env=env) as job:
        while not list(tmp_path.glob("data/**/progress.jsonl")):  # it trains
            assert job.poll() is None
            time.sleep(0.1)
        job.terminate()
        assert job.wait(60) == 130
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))  # raises while the page still listens


def test_newest_run_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_DATA_DIR", str(tmp_path))
    with pytest.raises(NotFound, match=r"Run: .*finetune-lora run"):
        newest()


def test_demo_reports_problems() -> None:
    right = json.dumps({"name": "none", "arguments": {}})
    assert demo.problems([4.0, 3.9, 3.8, 1.0, 0.9, 0.8], [right]) == []
    assert "the loss only fell" in demo.problems([4.0, 3.9, 3.8, 3.7, 3.6, 3.5], [right])[0]
    wrong = demo.problems([4.0, 4.0, 4.0, 1.0, 1.0, 1.0], [right, "{"])
    assert wrong == ["not every answer is a valid tool call"]
