"""The HTTP API: runs, events, questions, erasure, limits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from multi_agent.serve import terminal
from multi_agent.serve.api import create_app
from seedbed.settings import Settings
from seedbed.testing.launch import serve_app

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


def test_two_clients_follow_a_run_and_one_disconnects(
    app: Any, clerk_team: Any, slow_run: str
) -> None:
    # Its own server, as TestClient collects a response before it returns it.
    with serve_app(app) as url, httpx.Client(base_url=url, timeout=60) as http:
        path = f"/v1/runs/{slow_run}/events"
        with http.stream("GET", path) as first, http.stream("GET", path) as second:
            lines = second.iter_lines()
            head = [next(lines) for _ in range(3)]
            assert (head[0], head[2]) == ("event: run_started", "id: 1")
            lines = first.iter_lines()
            while not next(lines).startswith("event: step_started"):
                pass
            second.close()
            clerk_team.clerk.gate.set()
            rest = list(lines)
        assert "event: answer" in rest and 'data: {"status": "done"}' in rest
        again = http.get(path, headers={"Last-Event-ID": "1"}).text
        assert parse_events(again)[0][0] == 2
        assert http.get("/v1/runs").status_code == 200


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


def test_question_is_answered_with_an_option(client: TestClient, clerk_team: Any) -> None:
    run = solve(client, clerk_team.team, "How many orders by city?")
    url = f"/v1/runs/{run['id']}"
    assert run["status"] == "waiting" and run["answer"] is None
    question = client.get(f"{url}/question").json()
    assert question["options"] == ["orders by billing city", "orders by shipping city"]
    key = question["key"]
    assert client.post(f"{url}/answer", json={"text": "  ", "key": key}).status_code == 400
    answer = client.post(f"{url}/answer", json={"text": question["options"][0], "key": key})
    assert answer.status_code == 202
    clerk_team.team.wait(run["id"])
    assert client.get(url).json()["answer"]["text"] == "42 orders"
    again = client.post(f"{url}/answer", json={"text": "again", "key": key})
    assert again.status_code == 409 and again.json()["error"]["type"] == "conflict"
    assert client.get(f"{url}/question").json() is None


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ({"usd": 1_000_000}, "limits.usd: 1,000,000 is above this server's limit of 0.5."),
        ({"steps": 21, "tokens": 5}, "limits.steps: 21 is above this server's limit of 20."),
        ({"seconds": 120.5}, "limits.seconds: 120.5 is above this server's limit of 120."),
    ],
)
def test_limit_above_the_budget_of_the_server_is_refused(
    client: TestClient, limits: dict[str, float], problem: str
) -> None:
    answer = client.post("/v1/runs", json={"task": "How many orders?", "limits": limits})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(problem)


def test_limits_left_out_are_those_of_the_server(client: TestClient, clerk_team: Any) -> None:
    server = {"steps": 20, "tool_calls": 40, "tokens": 50_000, "usd": 0.5, "seconds": 120}
    run = solve(client, clerk_team.team, "How many orders?")
    assert run["limits"] == server
    limits = {"steps": 20, "usd": 0.1, "tokens": None}
    run = solve(client, clerk_team.team, "How many orders?", limits=limits)
    assert run["limits"] == server | {"usd": 0.1}


def test_terminal_prints_a_run_its_events_and_a_list(clerk_team: Any) -> None:
    team = clerk_team.team
    run = team.wait(team.start("How many orders?"))
    assert terminal.answer_text(run).startswith("42 orders")
    course = terminal.run_text(run, team.store.events(run.id))
    assert "step_ended" in course and "tool calls 1/40" in course
    usage = terminal.usage_text(
        run.model_copy(update={"usage": {"tokens": 12_345, "usd": 0.03126}})
    )
    assert usage == f"run {run.id} · tokens 12,345/50,000 · usd 0.0313/0.5"
    assert run.id in terminal.runs_text(team.store.runs(3))


def test_answer_that_is_sent_twice_does_not_answer_the_next_question(
    client: TestClient, clerk_team: Any
) -> None:
    run = solve(client, clerk_team.team, "How many orders by city? How many refunds by city?")
    url = f"/v1/runs/{run['id']}"
    question = client.get(f"{url}/question").json()
    body = {"text": question["options"][0], "key": question["key"]}
    assert client.post(f"{url}/answer", json={"text": "x"}).status_code == 400
    assert client.post(f"{url}/answer", json=body).status_code == 202
    clerk_team.team.wait(run["id"])
    assert client.get(url).json()["status"] == "waiting"
    assert client.post(f"{url}/answer", json=body).status_code == 409
    answered = clerk_team.team.store.events(run["id"], kind="answered")
    assert [event.data["key"] for event in answered] == [question["key"]]


def test_run_at_work_is_not_erased(client: TestClient, slow_run: str) -> None:
    assert client.delete(f"/v1/runs/{slow_run}").status_code == 409
