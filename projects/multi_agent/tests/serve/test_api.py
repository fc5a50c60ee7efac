"""The HTTP API: runs, events, questions, erasure, limits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from multi_agent.serve.api import create_app
from seedbed.settings import Settings

Team = Any


@pytest.fixture(scope="module")
def app(clerk_team: Any) -> Any:
    return create_app(clerk_team.team, Settings())


@pytest.fixture(scope="module")
def client(app: Any) -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def slow_run(clerk_team: Any, client: TestClient) -> Iterator[str]:
    """A run whose step is at work until the test sets the gate."""
    clerk_team.clerk.gate.clear()
    clerk_team.clerk.started.clear()
    run = client.post("/v1/runs", json={"task": "How many slow orders?"}).json()["id"]
    assert clerk_team.clerk.started.wait(60)
    yield run
    clerk_team.clerk.gate.set()
    clerk_team.team.wait(run)


def solve(client: TestClient, team: Team, task: str, **body: Any) -> dict[str, Any]:
    answer = client.post("/v1/runs", json={"task": task, **body})
    assert answer.status_code == 202, answer.text
    team.wait(answer.json()["id"])
    run: dict[str, Any] = client.get(f"/v1/runs/{answer.json()['id']}").json()
    return run


def wait_for_event(team: Team, run: str, kind: str) -> None:
    end = time.monotonic() + 60
    while kind not in [event.kind for event in team.store.events(run)]:
        assert time.monotonic() < end, f"No event {kind!r}."
        time.sleep(0.01)


def parse_events(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    """(id, kind, data) of server-sent events; id 0 for those without."""
    parsed = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line[0] != ":")
        if "event" in fields:
            data = json.loads(fields["data"])
            parsed.append((int(fields.get("id", 0)), fields["event"], data))
    return parsed


def test_run_is_started_listed_and_read(client: TestClient, clerk_team: Any) -> None:
    run = solve(client, clerk_team.team, "How many orders?", limits={"steps": 3})
    assert run["status"] == "done" and run["answer"]["confident"]
    assert run["answer"]["text"] == "42 orders" and run["limits"]["steps"] == 3
    assert run["usage"]["steps"] == run["usage"]["tool_calls"] == 1
    assert client.get("/v1/runs", params={"limit": 1}).json() == [run]


def test_events_continue_after_the_last_id(client: TestClient, clerk_team: Any) -> None:
    run = solve(client, clerk_team.team, "How many orders?")
    url = f"/v1/runs/{run['id']}/events"
    events = parse_events(client.get(url).text)
    assert [id for id, _, _ in events[:-1]] == list(range(1, len(events)))
    assert [kind for _, kind, _ in events][:3] == ["run_started", "plan", "step_started"]
    assert events[-1] == (0, "end", {"status": "done"})
    rest = parse_events(client.get(url, headers={"Last-Event-ID": "3"}).text)
    assert rest == events[3:]
    late = client.get(url, headers={"Last-Event-ID": "100"}).text
    assert parse_events(late) == events[-1:]


def test_run_is_stopped_with_what_it_has(client: TestClient, clerk_team: Any) -> None:
    clerk_team.clerk.gate.clear()
    clerk_team.clerk.started.clear()
    task = "How many orders? How many slow orders? What is 10 % of that?"
    run = client.post("/v1/runs", json={"task": task}).json()["id"]
    assert clerk_team.clerk.started.wait(60)
    wait_for_event(clerk_team.team, run, "step_ended")
    assert client.post(f"/v1/runs/{run}/stop").status_code == 202
    clerk_team.clerk.gate.set()
    clerk_team.team.wait(run)
    record = client.get(f"/v1/runs/{run}").json()
    assert record["status"] == "stopped" and record["reason"]
    assert "42 orders" in record["answer"]["text"]
    assert client.post(f"/v1/runs/{run}/stop").status_code == 409
    assert client.post(f"/v1/runs/{run}/resume").status_code == 202
    clerk_team.team.wait(run)
    record = client.get(f"/v1/runs/{run}").json()
    assert (record["status"], record["answer"]["text"]) == ("done", "42 orders; 42 orders")
    started = [e.step for e in clerk_team.team.store.events(run, kind="step_started")]
    assert sorted(started) == ["s1", "s2", "s3"], "a step with a result is not done again"


def test_limit_above_the_budget_of_the_server_is_refused(client: TestClient) -> None:
    limits = {"steps": 5, "usd": 1_000_000}
    answer = client.post("/v1/runs", json={"task": "How many orders?", "limits": limits})
    problem = "limits.usd: 1,000,000 is above this server's limit of 0.5."
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(problem)


def test_answer_that_is_sent_twice_does_not_answer_the_next_question(
    client: TestClient, clerk_team: Any
) -> None:
    run = solve(client, clerk_team.team, "How many orders by city? How many refunds by city?")
    url = f"/v1/runs/{run['id']}"
    assert run["status"] == "waiting" and run["answer"] is None
    question = client.get(f"{url}/question").json()
    body = {"text": question["options"][0], "key": question["key"]}
    for wrong in ({"text": "x"}, {"text": "  ", "key": question["key"]}):
        assert client.post(f"{url}/answer", json=wrong).status_code == 400
    assert client.post(f"{url}/answer", json=body).status_code == 202
    clerk_team.team.wait(run["id"])
    assert client.get(url).json()["status"] == "waiting"
    assert client.post(f"{url}/answer", json=body).status_code == 409
    answered = clerk_team.team.store.events(run["id"], kind="answered")
    assert [event.data["key"] for event in answered] == [question["key"]]


def test_run_at_work_is_not_erased(client: TestClient, slow_run: str) -> None:
    assert client.delete(f"/v1/runs/{slow_run}").status_code == 409
