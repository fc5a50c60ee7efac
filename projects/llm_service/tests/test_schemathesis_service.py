"""Whatever the OpenAPI document allows, and what it does not, is answered as it declares."""

import contextlib
import json

import jsonschema
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from prometheus_client import CollectorRegistry
from schemathesis import GenerationMode
from schemathesis.core.control import SkipTest

from llm_service.config import Config
from llm_service.gateway.gateway import Gateway
from llm_service.observe.metrics import Metrics
from llm_service.store.database import open_database
from llm_service.store.keys import KeyStore
from llm_service.testing.fakes import TABLE, FakeBackend, FakePool
from llm_service.web.openai_api import create_app
from llm_service.web.openapi import EXAMPLES
from seedbed.server.keys import Keys
from seedbed.settings import Settings


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    (data / "models.toml").write_text(TABLE)
    settings = Settings(_env_file=None, log_level="ERROR", api_keys="admin=secret")
    config = Config(data_dir=data, models=data / "models.toml", _env_file=None)
    database = open_database(config)
    keys = KeyStore(database, Keys.parse("admin=secret"))
    pool = FakePool({"echo": FakeBackend()})
    gateway = Gateway(config, settings, database, Metrics(CollectorRegistry()), make_pool=pool)
    app = create_app(gateway, keys)
    headers = {"authorization": "Bearer secret"}
    with TestClient(app, raise_server_exceptions=False, headers=headers) as made:
        yield made
    database.close()


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def checked(client, case, tried):
    """Send it; the answer is none of a server that failed, and is declared."""
    request = case.as_transport_kwargs(base_url="http://testserver")
    request.pop("cookies", None)
    request["headers"] = {
        name: value
        for name, value in (request.get("headers") or {}).items()
        if name.lower() != "authorization"
    }
    response = client.request(**request)
    label, status = case.operation.label, response.status_code
    tried.append((label, status))
    assert status < 500 or status == 503, (request, response.text)
    assert status != 503, (request, response.text)
    declared = case.operation.definition.raw["responses"]
    assert str(status) in declared or status == 405, (label, status, response.text)
    if status >= 400 and request["method"] != "HEAD":
        error = response.json()["error"]
        assert error["message"] and error["type"] and error["request_id"]
        assert "\n" not in error["message"] and len(error["message"]) < 1000
    return response


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_request_has_a_declared_answer(client, document, mode):
    schema = schemathesis.openapi.from_dict(document)
    schema.config.generation.update(modes=[mode])
    tried = []
    for found in schema.get_all_operations():
        operation = found.ok()
        strategy = operation.as_strategy(generation_mode=mode)

        # The same requests in every run: which statuses they bring must not be chance.
        @settings(
            max_examples=15,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def attempt(case):
            checked(client, case, tried)

        with contextlib.suppress(SkipTest):  # what takes nothing can be asked nothing wrong
            attempt()
    statuses = {status for _, status in tried}
    assert 400 in statuses
    if mode is GenerationMode.POSITIVE:
        assert len({label for label, _ in tried}) >= 15 and {200, 404} <= statuses


def test_the_examples_of_the_document_work(client, document):
    for path, examples in EXAMPLES.items():
        shown = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert set(shown["examples"]) == set(examples)
        for name, body in examples.items():
            client.delete("/admin/keys/alice")  # others may have made her
            response = client.post(path, json=body)
            expected = {"/admin/keys": 201, "/v1/feedback": 404}.get(path, 200)
            assert response.status_code == expected, (path, name, response.text)


def test_the_document_is_good_to_read(document):
    ids = [op["operationId"] for item in document["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids)) and "chat_completions" in ids
    text = json.dumps(document)
    assert "422" not in text and "HTTPValidationError" not in text
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["description"], path
            for status, response in operation["responses"].items():
                assert response["description"], (path, status)
    chat = document["paths"]["/v1/chat/completions"]["post"]
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert "x-request-id" in chat["responses"]["200"]["headers"]


def test_an_error_is_as_the_document_says(client, document):
    schema = {**document["components"]["schemas"]["Error"]}
    for answer in (
        client.get("/v1/models/none"),
        client.post("/v1/chat/completions", json={"messages": 5}),
        client.post("/v1/chat/completions", content=b"{"),
        client.get("/v1/models", headers={"authorization": "Bearer no"}),
        client.delete("/admin/keys/none"),
        client.get("/nowhere"),
    ):
        assert answer.status_code >= 400
        jsonschema.validate(answer.json(), schema)


NASTY = {
    "no json": b"{",
    "empty": b"",
    "not utf-8": b'{"messages":[{"role":"user","content":"\xff\xfe"}]}',
    "nul": b'{"messages":[{"role":"user","content":"a\\u0000b"}]}',
    "half a surrogate": b'{"messages":[{"role":"user","content":"\\ud800"}]}',
    "deep": b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep object": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "nan": b'{"messages":[{"role":"user","content":"x"}],"temperature":NaN}',
    "huge number": b'{"messages":[{"role":"user","content":"x"}],"seed":1' + b"0" * 5000 + b"}",
    "a list": b"[]",
    "null": b"null",
}


@pytest.mark.parametrize("body", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/v1/feedback", "/admin/keys"],
)
def test_nasty_bodies_are_a_400(client, path, body):
    response = client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["type"] == "bad_input"


def test_errors_say_what_to_do(client):
    def told(response, status):
        assert response.status_code == status
        return response.json()["error"]["message"]

    wrong = told(client.get("/v1/chat/completions"), 405)
    assert wrong == "GET is not allowed for '/v1/chat/completions'. Allowed: POST."
    assert told(client.post("/v1/feedback", json=[]), 400) == "body: should be a JSON object."
    assert "GET '/v1/nope'" in told(client.get("/v1/nope"), 404)


def test_a_body_without_its_content_type_is_told_so(client):
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}]})
    for path in ("/v1/chat/completions", "/v1/feedback"):
        response = client.post(
            path, content=body, headers={"content-type": "application/x-www-form-urlencoded"}
        )
        assert response.status_code == 400
        assert "content-type: application/json" in response.json()["error"]["message"]
