"""The HTTP API over runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from finetune_fakes import ScriptedPlayground, write_run

from finetune_lora.config import Config
from finetune_lora.page.api import create_app
from seedbed.settings import Settings


@pytest.fixture
def playground() -> ScriptedPlayground:
    return ScriptedPlayground(before={"text": "Sure!"}, after={"text": "{}", "problems": ["x"]})


@pytest.fixture
def client(tmp_path: Path, playground: ScriptedPlayground) -> TestClient:
    app = create_app(Config(data_dir=tmp_path), Settings(api_keys=""), playground=playground)
    return TestClient(app)


def error(response: Any, status: int) -> str:
    assert response.status_code == status
    return str(response.json()["error"]["message"])


def test_api_lists_runs_newest_first_and_returns_one(tmp_path: Path, client: TestClient) -> None:
    assert client.get("/v1/runs").json() == []
    write_run(tmp_path / "runs" / "a", started="2026-01-01T00:00:00")
    write_run(tmp_path / "runs" / "sweep" / "r=4,lr=0.1", started="2026-01-02T00:00:00")
    assert [run["name"] for run in client.get("/v1/runs").json()] == ["sweep/r=4,lr=0.1", "a"]
    run = client.get("/v1/runs/sweep/r=4,lr=0.1").json()
    assert (run["state"], run["report"], run["last"]["step"]) == ("finished", None, 3)


def test_progress_after_a_step(tmp_path: Path, client: TestClient) -> None:
    write_run(tmp_path / "runs" / "sweep" / "a", state="running", of=9)
    found = client.get("/v1/runs/sweep/a/progress", params={"after": 2}).json()
    assert found["state"] == "running"
    assert [line["step"] for line in found["steps"]] == [3]
    assert "after" in error(client.get("/v1/runs/sweep/a/progress?after=-1"), 400)


def test_a_question_is_answered_before_and_after(
    tmp_path: Path, client: TestClient, playground: ScriptedPlayground
) -> None:
    folder = write_run(tmp_path / "runs" / "a")
    (folder / "adapter_config.json").write_text("{}")
    found = client.post("/v1/runs/a/answer", json={"text": "hi"}).json()
    assert (found["run"], found["before"]["text"]) == ("a", "Sure!")
    assert found["after"]["problems"] == ["x"]
    assert playground.asked == [(folder, "hi", "before"), (folder, "hi", "after")]


def test_what_is_wrong_is_said(tmp_path: Path, client: TestClient) -> None:
    write_run(tmp_path / "runs" / "a", state="stopped")
    write_run(tmp_path / "runs" / "b", state="running")
    write_run(tmp_path / "outside")
    ask = "/v1/runs/{}/answer"
    assert "--resume" in error(client.post(ask.format("a"), json={"text": "hi"}), 400)
    assert "Wait" in error(client.post(ask.format("b"), json={"text": "hi"}), 400)
    assert "text" in error(client.post(ask.format("a"), json={"text": "x" * 8001}), 400)
    assert "text" in error(client.post(ask.format("a"), json={"text": ""}), 400)
    assert "text" in error(client.post(ask.format("a"), json={}), 400)
    assert "Unknown run 'nope'" in error(client.get("/v1/runs/nope"), 404)
    assert "Unknown run 'nope'" in error(client.post(ask.format("nope"), json={"text": "x"}), 404)
    assert "no model card" in error(client.get("/v1/runs/a/card"), 404)
    for name in ("..%2Foutside", "a%2F..%2F..%2Foutside", "%2Fetc%2Fpasswd", "a%00b"):
        response = client.get(f"/v1/runs/{name}")
        assert response.status_code in (400, 404)
        assert response.json()["error"]["message"]


def test_the_model_card_is_text_that_no_browser_runs(tmp_path: Path, client: TestClient) -> None:
    folder = write_run(tmp_path / "runs" / "a")
    (folder / "README.md").write_text("# Card <script>")
    response = client.get("/v1/runs/a/card")
    assert response.text == "# Card <script>"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
