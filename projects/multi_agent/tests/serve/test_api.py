"""The HTTP API: runs, events, questions, forks, replays, memory, keys, limits, metrics."""

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


def test_waiting_run_is_stopped(client: TestClient, clerk_team: Any) -> None:
    run = solve(client, clerk_team.team, "How many orders by city?")
    assert client.post(f"/v1/runs/{run['id']}/stop").json()["status"] == "stopped"
    events = parse_events(client.get(f"/v1/runs/{run['id']}/events").text)
    assert [kind for _, kind, _ in events][-3:] == ["question", "stopped", "end"]
    assert client.post(f"/v1/runs/{run['id']}/answer", json={"text": "x"}).status_code == 409


def test_usage_of_a_run_at_work_is_live(client: TestClient, slow_run: str) -> None:
    usage = client.get(f"/v1/runs/{slow_run}").json()["usage"]
    assert usage["steps"] == 1 and usage["seconds"] > 0


def test_question_is_answered_with_an_option(client: TestClient, clerk_team: Any) -> None:
    run = solve(client, clerk_team.team, "How many orders by city?")
    url = f"/v1/runs/{run['id']}"
    assert run["status"] == "waiting" and run["answer"] is None
    question = client.get(f"{url}/question").json()
    assert question["options"] == ["orders by billing city", "orders by shipping city"]
    assert client.post(f"{url}/answer", json={"text": "  "}).status_code == 400
    answer = client.post(f"{url}/answer", json={"text": question["options"][0]})
    assert answer.status_code == 202
    clerk_team.team.wait(run["id"])
    assert client.get(url).json()["answer"]["text"] == "42 orders"
    again = client.post(f"{url}/answer", json={"text": "again"})
    assert again.status_code == 409 and again.json()["error"]["type"] == "conflict"
    assert client.get(f"{url}/question").json() is None


def test_resume_conflicts_with_a_run_at_work_and_an_ended_one(
    client: TestClient, clerk_team: Any, slow_run: str
) -> None:
    assert client.post(f"/v1/runs/{slow_run}/resume").status_code == 409
    clerk_team.clerk.gate.set()
    clerk_team.team.wait(slow_run)
    assert client.post(f"/v1/runs/{slow_run}/resume").status_code == 409
    kinds = [event.kind for event in clerk_team.team.store.events(slow_run)]
    assert kinds.count("run_started") == 1


def test_run_whose_vendor_failed_keeps_its_answer_and_is_resumed(
    client: TestClient, clerk_team: Any
) -> None:
    run = solve(client, clerk_team.team, "How many orders? How many vendors?")
    url = f"/v1/runs/{run['id']}"
    reason = "openai:gpt-4o-mini: rate limit reached."
    assert (run["status"], run["reason"]) == ("failed", reason)
    assert run["answer"]["text"].startswith("42 orders; (no answer to: How many vendors")
    events = parse_events(client.get(f"{url}/events").text)
    assert [kind for _, kind, _ in events[-3:]] == ["answer", "failed", "end"]
    end = events[-2][2]["data"]
    assert (end["reason"], end["confident"]) == (reason, False) and end["seconds"] > 0
    assert client.post(f"{url}/resume").status_code == 202
    clerk_team.team.wait(run["id"])
    run = client.get(url).json()
    assert (run["status"], run["reason"]) == ("done", "")
    assert run["answer"]["text"] == "42 orders; 42 orders"
    events = parse_events(client.get(f"{url}/events").text)
    started = [event["step"] for _, kind, event in events if kind == "step_started"]
    assert sorted(started) == ["s1", "s2", "s2"]
    assert client.post(f"{url}/resume").status_code == 409


def test_fork_keeps_other_steps_and_shows_its_plan(client: TestClient, clerk_team: Any) -> None:
    run = solve(client, clerk_team.team, "How many orders? How many impossible orders?")
    assert not run["answer"]["confident"]
    body = {"step": "s2", "task": "How many possible orders?"}
    fork = client.post(f"/v1/runs/{run['id']}/fork", json=body).json()
    clerk_team.team.wait(fork["id"])
    record = client.get(f"/v1/runs/{fork['id']}").json()
    assert record["parent"] == run["id"] and record["answer"]["text"] == "42 orders; 42 orders"
    events = clerk_team.team.store.events(fork["id"])
    assert [event.step for event in events if event.kind == "step_started"] == ["s2"]
    kinds = [event.kind for event in events]
    assert kinds[:4] == ["plan", "step_ended", "run_started", "step_started"]
    missing = client.post(f"/v1/runs/{run['id']}/fork", json={"step": "s9"})
    assert missing.status_code == 404 and "s1, s2" in missing.json()["error"]["message"]


def test_replay_gives_the_same_answer_from_the_record(client: TestClient, clerk_team: Any) -> None:
    run = solve(client, clerk_team.team, "How many orders?")
    replay = client.post(f"/v1/runs/{run['id']}/replay").json()
    assert replay == {"answer": "42 orders", "same": True, "calls": 1, "missing": ""}


def test_memory_is_listed_and_erased(client: TestClient, clerk_team: Any) -> None:
    client.delete("/v1/memory")
    solve(client, clerk_team.team, "Remember that our VAT is 19 %.")
    solve(client, clerk_team.team, "Remember that we close at noon.")
    facts = client.get("/v1/memory").json()
    assert [fact["text"] for fact in facts] == ["we close at noon", "our VAT is 19 %"]
    fact = facts[1]["id"]
    assert client.delete(f"/v1/memory/{fact}").status_code == 204
    assert client.delete(f"/v1/memory/{fact}").status_code == 404
    assert client.delete("/v1/memory").status_code == 204
    assert client.get("/v1/memory").json() == []


@pytest.mark.parametrize(
    "body",
    [
        {"task": "  "},
        {"task": "x", "limits": {"steps": 0}},
        {"task": "x", "limits": {"tokens": 1, "luck": 2}},
        {"task": "x", "thread": "t" * 101},
    ],
)
def test_bad_body_is_refused_in_one_line(client: TestClient, body: Any) -> None:
    answer = client.post("/v1/runs", json=body)
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["type"] == "bad_input"
    assert "\n" not in error["message"] and len(error["message"]) < 300


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


def test_task_above_the_limit_is_too_large(client: TestClient) -> None:
    answer = client.post("/v1/runs", json={"task": "x" * 8_001})
    assert answer.status_code == 413 and answer.json()["error"]["type"] == "too_large"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "runs/r0"),
        ("GET", "runs/r0/events"),
        ("GET", "runs/r0/question"),
        ("POST", "runs/r0/stop"),
        ("POST", "runs/r0/resume"),
        ("POST", "runs/r0/replay"),
    ],
)
def test_unknown_run_is_not_found(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, f"/v1/{path}")
    assert answer.status_code == 404 and answer.json()["error"]["type"] == "not_found"


@pytest.mark.parametrize("last", ["-1", "x", str(2**31), "9" * 30])
def test_bad_last_event_id_is_bad_input(client: TestClient, clerk_team: Any, last: str) -> None:
    run = solve(client, clerk_team.team, "What is 2 + 2?")["id"]
    answer = client.get(f"/v1/runs/{run}/events", headers={"Last-Event-ID": last})
    assert answer.status_code == 400


def test_metrics_count_runs_steps_and_tool_calls(client: TestClient, clerk_team: Any) -> None:
    def metrics() -> dict[str, float]:
        lines = client.get("/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("agents_"))
        return {name: float(value) for name, value in pairs}

    names = [
        'agents_run_seconds_count{outcome="answer"}',
        'agents_specialist_seconds_count{outcome="answer",specialist="clerk"}',
        'agents_tool_seconds_count{outcome="ok",tool="look"}',
    ]
    solve(client, clerk_team.team, "How many orders?")
    before = metrics()
    solve(client, clerk_team.team, "How many orders?")
    after = metrics()
    assert [after[name] - before[name] for name in names] == [1, 1, 1]
    solve(client, clerk_team.team, "How many impossible orders?")
    name = 'agents_run_seconds_count{outcome="no_answer"}'
    assert metrics()[name] == before.get(name, 0) + 1


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
    assert "the same answer" in terminal.replay_text(team.replay(run.id))
