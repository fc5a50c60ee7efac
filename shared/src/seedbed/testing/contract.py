"""Tests that every server and command line must pass; a project's test class inherits them.

    @pytest.fixture(scope="module")
    def app(chatbot: Chatbot) -> FastAPI:
        return create_app(chatbot, SETTINGS)

    class TestServer(ServerContract):
        pass

    class TestCommandLine(CommandContract):
        app, package = __main__.app, "my_app"

Routes and commands are read from the OpenAPI document and from Typer, so a new one is tested too.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar

import pytest
import typer
from fastapi import FastAPI
from fastapi.testclient import TestClient

from seedbed.server.keys import Keys
from seedbed.settings import Settings
from seedbed.testing.launch import run_command

CALLER, KEY = "alice", "key-of-alice"
SETTINGS = Settings(api_keys=f"{CALLER}={KEY}", open=False)
"""The settings that the `app` of a `ServerContract` is created with."""
_COMMON = ("/healthz", "/readyz", "/metrics")
_CROSS_SITE = (
    {"sec-fetch-site": "cross-site"},
    {"origin": "http://evil.example"},  # browsers send the other header to https and localhost only
)
Route = tuple[str, str, dict[str, Any]]


def expect_error(response: Any, status: int, kind: str = "") -> str:
    """Check that a response is an error with this status and type; returns its message.

    assert "Allowed: POST" in expect_error(client.get("/v1/ask"), 405, "method_not_allowed")
    """
    request = f"{response.request.method} {response.request.url}: {response.text[:300]}"
    assert response.status_code == status, f"{response.status_code}, not {status}: {request}"
    assert response.headers["content-type"] == "application/json", request
    error = response.json().get("error", {})
    assert {"type", "message", "request_id"} <= set(error), request
    assert error["request_id"] == response.headers["x-request-id"], request
    assert error["type"] == (kind or error["type"]), request
    message = str(error["message"])
    assert message and "\n" not in message and len(message) < 1000, request
    return message


class ServerContract:
    """Tests of a server: of the fixture `app`, which is created with `SETTINGS`."""

    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, app: FastAPI) -> Iterator[TestClient]:
        """A client of the running app, with a valid key."""
        headers = {"authorization": f"Bearer {KEY}"}
        with TestClient(app, raise_server_exceptions=False, headers=headers) as client:
            yield client

    @pytest.fixture(scope="class")
    @classmethod
    def document(cls, client: TestClient) -> dict[str, Any]:
        return dict(client.get("/openapi.json").json())

    @pytest.fixture(scope="class")
    @classmethod
    def routes(cls, document: dict[str, Any]) -> list[Route]:
        """The routes of the project."""
        return routes_of(document)

    def test_probes_answer_without_a_key(self, client: TestClient) -> None:
        anyone = {"authorization": ""}
        assert client.get("/healthz", headers=anyone).json() == {"status": "ok"}
        assert client.get("/readyz", headers=anyone).json() == {"status": "ready"}

    def test_every_path_requires_a_key(self, client: TestClient, routes: list[Route]) -> None:
        fixed = [("GET", path) for path in ("/", "/metrics", "/openapi.json", "/x", "/healthz/")]
        for method, path in [*fixed, *((method, path) for method, path, _ in routes)]:
            for wrong in ("", "Bearer wrong", f"Bearer {CALLER}"):
                response = client.request(method, path, headers={"authorization": wrong})
                expect_error(response, 401, "unauthorized")
                assert response.headers["www-authenticate"]

    def test_route_describes_the_key_and_every_response(
        self, document: dict[str, Any], routes: list[Route]
    ) -> None:
        assert "HTTPValidationError" not in json.dumps(document)
        for method, path, operation in routes:
            assert operation.get("description"), f"{method} {path} has no docstring."
            assert operation.get("security"), f"{method} {path} declares no API key."
            for status, response in operation["responses"].items():
                assert response["description"], f"{method} {path}: {status}"

    def test_request_of_another_site_is_refused(
        self, app: FastAPI, client: TestClient, routes: list[Route], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for keys in (app.state.access.keys, Keys()):
            monkeypatch.setattr(app.state.access, "keys", keys)
            for method, path, _ in routes:
                for headers in _CROSS_SITE if method != "GET" else ():  # a link is harmless
                    response = client.request(method, path, headers=headers)
                    assert "Cross-site" in expect_error(response, 401, "unauthorized")

    @pytest.mark.slow
    @pytest.mark.timeout(300)
    @pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # threads of an app may
    @pytest.mark.parametrize("mode", ["positive", "negative"])
    def test_generated_request_has_a_declared_response(
        self, client: TestClient, document: dict[str, Any], mode: str
    ) -> None:
        """Sends valid or invalid requests made from the OpenAPI document, equal in every run."""
        schemathesis = pytest.importorskip("schemathesis")
        from hypothesis import HealthCheck, Phase, given, settings
        from schemathesis.core.control import SkipTest
        from schemathesis.core.errors import SerializationNotPossible

        kind = schemathesis.GenerationMode(mode)
        schema = schemathesis.openapi.from_dict(document).exclude(path=[*_COMMON])
        schema.config.generation.update(modes=[kind])
        checked = settings(
            max_examples=15,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        for parsed in schema.get_all_operations():

            @checked
            @given(case=parsed.ok().as_strategy(generation_mode=kind))
            def send(case: Any) -> None:
                request = _as_httpx(case.as_transport_kwargs(base_url="http://testserver"))
                expect_declared(client.request(**request), case.operation)

            # Without parameters there is no invalid request; a body may be neither JSON nor a form.
            with suppress(SkipTest, SerializationNotPossible):
                send()


def _as_httpx(request: dict[str, Any]) -> dict[str, Any]:
    """A request of schemathesis without a key of its own, with files as text and bytes."""
    request.pop("cookies", None)
    headers = (request.get("headers") or {}).items()
    request["headers"] = {k: v for k, v in headers if k.lower() != "authorization"}
    if isinstance(request.get("files"), list):
        request["files"] = [
            (name, tuple(str(v) if isinstance(v, int | float) else v for v in part))
            for name, part in request["files"]
        ]
    return request


def expect_declared(response: Any, operation: Any) -> None:
    """Check that a response is not a 5xx, and that its status is in the OpenAPI document."""
    status, label = response.status_code, operation.label
    assert status < 500, f"{label}: {response.text}"
    declared = {str(status), f"{status // 100}XX"} & set(operation.definition.raw["responses"])
    assert declared, f"{label} does not declare {status}: {response.text}"
    # A route for browsers may answer an error with a page.
    if status >= 400 and response.headers.get("content-type") == "application/json":
        expect_error(response, status)


def routes_of(document: dict[str, Any]) -> list[Route]:
    """Method, path and description of every route but the common ones; parameters are "x"."""
    return [
        (method.upper(), re.sub(r"\{\w+\}", "x", path), operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if path not in _COMMON
    ]


class CommandContract:
    """Tests of a command line. A subclass names its Typer application and its package."""

    app: ClassVar[typer.Typer]
    package: ClassVar[str]
    heavy: ClassVar[set[str]] = set(
        "PIL chromadb dbos fastapi gradio langchain_core langgraph numpy openvino scipy sqlalchemy"
        " torch transformers".split()
    )
    """Packages that `--help` must not import: it is to answer in half a second."""

    @pytest.fixture(scope="class")
    @classmethod
    def verbs(cls) -> list[list[str]]:
        """The words of every command, such as ["keys", "create"]; [] for the program itself."""

        def walk(command: Any, words: list[str]) -> Iterator[list[str]]:
            yield words
            for name, inner in getattr(command, "commands", {}).items():
                yield from walk(inner, [*words, name])

        return list(walk(typer.main.get_command(cls.app), []))

    def test_help_imports_no_heavy_packages(self, verbs: list[list[str]]) -> None:
        code = (
            "import json, sys\n"
            f"from {self.package}.__main__ import main\n"
            "for words in json.loads(sys.argv[1]):\n"
            "    try: main([*words, '--help'])\n"
            "    except SystemExit: pass\n"
            "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
        )
        command = [sys.executable, "-c", code, json.dumps(verbs)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        modules = {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}
        assert "typer" in modules and modules & self.heavy == set()

    def test_every_verb_has_help_and_refuses_what_is_wrong(self, verbs: list[list[str]]) -> None:
        for words in verbs:
            output = run_command(self.app, *words, "--help")
            assert output.status == 0 and "Usage:" in output.out and len(output.out) > 200, output
            output = run_command(self.app, *words, "--no-such-option")
            assert output.status == 2 and "--no-such-option" in output.err, output
        output = run_command(self.app, "no-such-verb")
        assert output.status == 2 and "no-such-verb" in output.err
        output = run_command(self.app, "serve", "--port", "many")
        assert output.status == 2 and "--port" in output.err
