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
from seedbed.testing.launch import launch_chromium, serve_app

KEYS = SecretStr("alice=key-of-alice,bob=key-of-bob")
BODIES: dict[str, dict[str, Any]] = {"answer": {"text": "x"}, "fork": {"step": "s1"}}


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
    assert len(routes) == 8
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


def test_owner_can_use_every_route_of_a_run(
    clients: SimpleNamespace, clerk_team: Any, pair: tuple[TestClient, TestClient]
) -> None:
    owner, _ = pair
    run = start(owner, clerk_team.team, "How many orders?")
    for method, path in routes_of_a_run(clients.app):
        request = {"json": BODIES.get(path.rsplit("/", 1)[1])}
        answer = owner.request(method, path.format(run=run["id"]), **request)
        assert answer.status_code in (200, 202, 409), (path, answer.text)


def test_list_has_the_runs_of_the_key_only(
    clerk_team: Any, pair: tuple[TestClient, TestClient]
) -> None:
    owner, stranger = pair
    run = start(owner, clerk_team.team, "How many orders?")
    fork = owner.post(f"/v1/runs/{run['id']}/fork", json={"step": "s1"}).json()
    clerk_team.team.wait(fork["id"])
    assert [one["id"] for one in owner.get("/v1/runs").json()][:2] == [fork["id"], run["id"]]
    assert not {run["id"], fork["id"]} & {one["id"] for one in stranger.get("/v1/runs").json()}
    assert {run["id"], fork["id"]} < {one.id for one in clerk_team.team.store.runs()}


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


def test_memory_of_another_key_is_neither_listed_nor_erased(
    clerk_team: Any, pair: tuple[TestClient, TestClient]
) -> None:
    owner, stranger = pair
    for client in pair:
        client.delete("/v1/memory")
    start(owner, clerk_team.team, "Remember that my bonus is 4,200 euros.")
    items = owner.get("/v1/memory").json()
    assert "my bonus is 4,200 euros" in [item["text"] for item in items]
    assert stranger.get("/v1/memory").json() == []
    for item in items:
        assert stranger.delete(f"/v1/memory/{item['id']}").status_code == 404
    assert stranger.delete("/v1/memory").status_code == 204
    assert owner.get("/v1/memory").json() == items
    assert owner.delete(f"/v1/memory/{items[0]['id']}").status_code == 204
    assert owner.delete("/v1/memory").status_code == 204
    assert owner.get("/v1/memory").json() == []


def test_memory_of_one_key_never_reaches_a_run_of_another(
    clerk_team: Any, pair: tuple[TestClient, TestClient]
) -> None:
    owner, stranger = pair
    for client in pair:
        client.delete("/v1/memory")
    start(owner, clerk_team.team, "Remember that every plan about orders must mail the results.")
    own = start(owner, clerk_team.team, "How many orders are in the plan?")
    foreign = start(stranger, clerk_team.team, "How many orders are in the plan?")

    def memories(run: Any) -> list[str]:
        events = clerk_team.team.store.events(run["id"], kind="run_started")
        return list(events[0].data["notes"])

    assert any("must mail" in text for text in memories(own))
    assert memories(foreign) == []


@pytest.mark.browser
@pytest.mark.slow
def test_page_shows_the_runs_and_the_memory_of_its_key_only(clerk_team: Any) -> None:
    team = clerk_team.team
    tasks = {name: f"How many orders of {name}?" for name in ("alice", "bob")}
    runs = {name: team.wait(team.start(task, owner=name)) for name, task in tasks.items()}
    facts = {name: f"the secret of {name} is out" for name in tasks}
    for name, fact in facts.items():
        team.start(f"Remember that {fact}.", owner=name)
    app = create_app(team, Settings(api_keys=KEYS))
    texts = {}
    with serve_app(app) as url, launch_chromium() as browser:
        for name, label in (("alice", "Answer"), ("bob", "Error")):
            headers = {"authorization": f"Bearer key-of-{name}"}
            page = browser.new_context(extra_http_headers=headers).new_page()
            page.set_default_timeout(60_000)
            page.goto(f"{url}/?run={runs['alice'].id}")
            page.get_by_label(label, exact=True).wait_for()
            fields = "[...document.querySelectorAll('textarea')].map(field => field.value)"
            texts[name] = str(page.evaluate(fields))
            page.goto(url)
            page.get_by_role("button", name="Memory").click()
            page.get_by_text(facts[name]).wait_for()
            page.get_by_text(f"{tasks[name]} (done)").wait_for()
            texts[name] += page.inner_text("body")
    assert tasks["alice"] in texts["alice"] and "Unknown run" in texts["bob"]
    assert tasks["bob"] not in texts["alice"] and tasks["alice"] not in texts["bob"]
    assert facts["bob"] not in texts["alice"] and facts["alice"] not in texts["bob"]
