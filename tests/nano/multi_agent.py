"""The route: a task is answered by the team, or without a bigger model by a quote."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tools.nano import routes, server
from seedbed.testing.vendor.script import Reply
from seedbed.testing.vendor.server import launch_vendor


def run(**body: str) -> Any:
    app = server.create_app()
    routes.add_routes(app)
    return TestClient(app).post("/run", json=body).json()


def test_team_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_EMBEDDINGS", "hash:")
    replies = [
        json.dumps({"next": "analyst", "request": "How many customers are there?"}),
        Reply(tool_calls=[("query_database", {"sql": "SELECT count(*) FROM customers"})]),
        "80 customers.",
        json.dumps({"next": "finish", "request": "There are 80 customers."}),
    ]
    with launch_vendor(replies) as vendor:
        monkeypatch.setenv("SEEDBED_MODEL", "openai:gpt-4o-mini")
        monkeypatch.setenv("SEEDBED_BASE_URL", f"{vendor.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
        assert run(task="How many customers?") == "There are 80 customers."
        assert not vendor.problems


def test_default_model_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_MODEL", "smollm2")
    task = "Within how many days can I return goods after delivery?"
    assert "within 30 days after delivery" in run(task=task)
    assert run(tasks=task)["error"]["message"] == "task: Field required"
