"""Two API keys over HTTP: neither sees or changes the runs, threads and memory of the other."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from multi_agent.serve.api import create_app
from seedbed.settings import Settings

KEYS = SecretStr("alice=key-of-alice,bob=key-of-bob")
BODIES: dict[str, dict[str, Any]] = {"answer": {"text": "x", "key": "x"}}


@pytest.fixture(scope="module")
def clients(clerk_team: Any) -> Iterator[SimpleNamespace]:
    app = create_app(clerk_team.team, Settings(api_keys=KEYS))
    names = ("alice", "bob")
    with TestClient(app) as alice, TestClient(app) as bob:
        for name, client in zip(names, (alice, bob), strict=True):
            client.headers["authorization"] = f"Bearer key-of-{name}"
        yield SimpleNamespace(app=app, alice=alice, bob=bob)


@pytest.fixture(params=["alice", "bob"])
def pair(clients: SimpleNamespace, request: pytest.FixtureRequest) -> tuple[TestClient, TestClient]:
    """The owner and the stranger, in both directions."""
    both = (clients.alice, clients.bob)
    return both if request.param == "alice" else (both[1], both[0])


def start(client: TestClient, team: Any, task: str, **body: Any) -> Any:
    run = client.post("/v1/runs", json={"task": task, **body}).json()["id"]
    team.wait(run)
    return client.get(f"/v1/runs/{run}").json()


def routes_of_a_run(app: Any) -> list[tuple[str, str]]:
    paths = app.openapi()["paths"]
    return [(m, path) for path, item in paths.items() if "{run}" in path for m in item]


def test_run_of_another_key_is_unknown_on_every_route(
    clients: SimpleNamespace, clerk_team: Any, pair: tuple[TestClient, TestClient]
) -> None:
    owner, stranger = pair
    run = start(owner, clerk_team.team, "How many orders by city?")  # waits for an answer
    events = clerk_team.team.store.events(run["id"])
    routes = routes_of_a_run(clients.app)
    assert len(routes) == 7
    for method, path in routes:
        request = {"json": BODIES.get(path.rsplit("/", 1)[1])}
        answer = stranger.request(method, path.format(run=run["id"]), **request)
        missing = stranger.request(method, path.format(run="r0"), **request)
        assert answer.status_code == missing.status_code == 404, path
        message = answer.json()["error"]["message"]
        assert message == missing.json()["error"]["message"].replace("r0", run["id"])
        assert message.startswith("Unknown run")
        assert owner.request(method, path.format(run="r0"), **request).status_code == 404
    assert run == owner.get(f"/v1/runs/{run['id']}").json()
    assert clerk_team.team.store.events(run["id"]) == events


def test_runs_without_a_key_belong_to_no_key(clients: SimpleNamespace, clerk_team: Any) -> None:
    run = clerk_team.team.wait(clerk_team.team.start("How many orders?"))
    assert clients.alice.get(f"/v1/runs/{run.id}").status_code == 404
    with TestClient(create_app(clerk_team.team, Settings())) as local:
        assert local.get(f"/v1/runs/{run.id}").status_code == 200
        mine = start(clients.alice, clerk_team.team, "How many orders?")
        assert local.get(f"/v1/runs/{mine['id']}").status_code == 404


def test_thread_of_the_same_name_is_another_thread(
    clerk_team: Any, pair: tuple[TestClient, TestClient]
) -> None:
    owner, stranger = pair
    name = f"shared by {owner.headers['authorization']}"
    start(owner, clerk_team.team, "How many orders in May 2025?", thread=name)
    assert start(stranger, clerk_team.team, "And in June?", thread=name)["full_task"] == ""
    run = start(owner, clerk_team.team, "And in July?", thread=name)
    assert run["task"] == "And in July?"
    assert run["full_task"] == "How many orders in May 2025? And in July?"
    run = start(owner, clerk_team.team, "And in August?", thread=name)
    assert run["full_task"] == "How many orders in May 2025? And in July? And in August?"


def test_owner_erases_a_run_and_a_thread_and_a_stranger_cannot(
    clerk_team: Any, pair: tuple[TestClient, TestClient]
) -> None:
    owner, stranger = pair
    thread = f"erased by {owner.headers['authorization']}"
    runs = [start(owner, clerk_team.team, "How many orders?", thread=thread) for _ in range(3)]
    assert stranger.delete(f"/v1/runs/{runs[0]['id']}").status_code == 404
    assert stranger.delete(f"/v1/threads/{thread}").status_code == 204  # of the stranger's own
    assert owner.delete(f"/v1/runs/{runs[0]['id']}").status_code == 204
    assert owner.get(f"/v1/runs/{runs[0]['id']}").status_code == 404
    assert owner.get(f"/v1/runs/{runs[1]['id']}").status_code == 200
    assert owner.delete(f"/v1/threads/{thread}").status_code == 204
    for run in runs:
        assert owner.get(f"/v1/runs/{run['id']}").status_code == 404
