"""What every server and command line of the repository keeps."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from service_fakes import app_over_fakes

from llm_service import __main__
from seedbed.testing.contract import (
    SETTINGS,
    CommandContract,
    Route,
    ServerContract,
    routes_of,
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    with app_over_fakes(tmp_path_factory.mktemp("data"), settings=SETTINGS) as made:
        yield made.app


class TestServer(ServerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def routes(cls, document: dict[str, Any]) -> list[Route]:
        """All but those of Anthropic's API, whose errors have another form."""
        return [route for route in routes_of(document) if "/v1/messages" not in route[1]]

    def test_anthropics_api_requires_a_key_and_the_same_site(self, client: TestClient) -> None:
        wrong = ({"authorization": "Bearer wrong"}, {"origin": "http://evil.example"})
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            for headers in wrong:
                response = client.post(path, json={}, headers=headers)
                body = response.json()
                assert (response.status_code, body["type"]) == (401, "error")
                assert body["error"]["type"] == "authentication_error" and body["error"]["message"]
                assert body["request_id"] == response.headers["x-request-id"]


class TestCommandLine(CommandContract):
    app, package = __main__.app, "llm_service"
