"""What each caller may use: requests a minute and tokens a day, of one server or of replicas."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from seedbed.models.scripted import ScriptedChatModel
from seedbed.observe.logs_and_traces import LogFormatter
from seedbed.observe.telemetry import ModelTelemetry
from seedbed.server import ui
from seedbed.server.service import CurrentCaller, create_app
from seedbed.settings import Settings
from seedbed.testing.contract import expect_error
from seedbed.testing.launch import launch_postgres, new_database, serve_app

KEYS = "alice=key-a,bob:hr=key-b"


def build(**settings: Any) -> FastAPI:
    """A server whose answers use 7 tokens of a model, over HTTP and on a page."""
    app = create_app("demo", version="1", settings=Settings(api_keys=KEYS, **settings))
    model = ScriptedChatModel(["Hello."] * 100, callbacks=[ModelTelemetry("scripted:x")])

    def answer() -> str:
        return str(model.invoke("Say hello to them.").text)

    @app.post("/v1/ask")
    def ask(_: CurrentCaller) -> str:
        logging.getLogger("demo").warning("asked")
        return answer()

    with gr.Blocks() as blocks:
        reply = gr.Textbox()
        gr.Button().click(lambda: (yield answer()), None, reply, api_name="ask")
    return ui.mount(app, blocks)


def ask(client: TestClient, key: str) -> httpx.Response:
    return client.post("/v1/ask", headers={"x-api-key": key})


@pytest.fixture(scope="module")
def postgres() -> Iterator[Any]:
    with launch_postgres() as server:
        yield server


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.slow)])
def replicas(request: pytest.FixtureRequest) -> Callable[..., list[TestClient]]:
    """Makes two servers that share a database, or twice the same server without one."""

    def make(**settings: Any) -> list[TestClient]:
        if request.param == "memory":
            return [TestClient(build(**settings))] * 2
        url = new_database(request.getfixturevalue("postgres"))
        return [TestClient(build(database_url=url, **settings)) for _ in range(2)]

    return make


def test_requests_a_minute_are_limited_for_each_caller(replicas: Any) -> None:
    one, two = replicas(requests_per_minute=4)
    while time.time() % 60 > 50:  # the minute must not end meanwhile
        time.sleep(1)
    statuses = [ask(client, "key-a").status_code for client in (one, two) * 3]
    assert statuses == [200] * 4 + [429] * 2
    refused = ask(one, "key-a")
    assert "4 requests in this minute" in expect_error(refused, 429, "busy")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert ask(two, "key-b").status_code == 200
    assert one.get("/openapi.json", headers={"x-api-key": "key-a"}).status_code == 200


def test_tokens_a_day_are_limited_for_each_caller(replicas: Any) -> None:
    one, two = replicas(tokens_per_day=10)
    assert ask(one, "key-a").status_code == 200
    for client in (two, one):  # the tokens of the second request are counted after it
        end = time.monotonic() + 30
        while ask(client, "key-a").status_code == 200 and time.monotonic() < end:
            time.sleep(0.05)
        refused = ask(client, "key-a")
        assert "tokens today; the limit is 10" in expect_error(refused, 429, "busy")
    assert ask(one, "key-b").status_code == 200


def test_tokens_of_a_page_count_for_its_caller() -> None:
    from gradio_client import Client

    app = build(tokens_per_day=5)
    with serve_app(app) as url:
        page = Client(url, headers={"x-api-key": "key-b"}, verbose=False)
        assert page.predict(api_name="/ask") == "Hello."
        assert httpx.post(f"{url}/v1/ask", headers={"x-api-key": "key-b"}).status_code == 429
        assert httpx.post(f"{url}/v1/ask", headers={"x-api-key": "key-a"}).status_code == 200


@pytest.mark.parametrize(("how", "name"), [("hashed", "81b637d8fcd2"), ("plain", "bob")])
def test_log_lines_name_the_caller(how: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    client = TestClient(build(log_callers=how))
    lines: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(LogFormatter("json").format(record)))

    handler = Keep()
    logging.getLogger().addHandler(handler)
    try:
        with caplog.at_level("INFO"):
            ask(client, "key-b")
            ask(client, "wrong")
    finally:
        logging.getLogger().removeHandler(handler)
    inside, outside, unknown = (
        line for line in lines if line["logger"] in ("demo", "seedbed.service")
    )
    assert inside["caller"] == outside["caller"] == name
    assert len(inside["groups"]) == 1 and (how == "plain") == (inside["groups"] == ["hr"])
    assert "caller" not in unknown and unknown["message"].endswith(" -")
