"""The routes: OpenAI's protocol behind the server's key."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tools.nano import routes, server

HELLO = {"messages": [{"role": "user", "content": "Hi"}]}
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    script = Path(tmp_path_factory.mktemp("model"), "replies.json")
    script.write_text(json.dumps(["Hello there."] * 4), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEDBED_MODEL", f"scripted:{script}")
        app = server.create_app("secret")
        routes.add_routes(app)
        yield TestClient(app, headers={"authorization": "Bearer secret"})


def test_model_replies(client: TestClient) -> None:
    reply = client.post(PATH, json=HELLO).json()
    assert reply["choices"][0]["message"]["content"] == "Hello there."


def test_reply_is_streamed(client: TestClient) -> None:
    with client.stream("POST", PATH, json={**HELLO, "stream": True}) as response:
        events = [line for line in response.iter_lines() if line]
    assert events[-1] == "data: [DONE]"
    assert len(events) > 3


def test_refusals_have_one_form(client: TestClient) -> None:
    for headers, message in (({}, "logit_bias: Extra inputs"), ({"authorization": ""}, "Wrong")):
        response = client.post(PATH, json={**HELLO, "logit_bias": {}}, headers=headers)
        assert response.json()["error"]["message"].startswith(message)
