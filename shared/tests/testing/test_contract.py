"""The contract of servers and command lines: a good one keeps it, and each fault fails a test."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from pydantic import BaseModel

from seedbed.server import service
from seedbed.server.keys import Keys
from seedbed.server.service import Caller, CleanText, ErrorResponse
from seedbed.testing.contract import KEY, SETTINGS, CommandContract, ServerContract, routes_of

ERRORS = {"4XX": {"model": ErrorResponse, "description": "`error.type` names the reason"}}


class Note(BaseModel):
    text: CleanText
    copies: int = 1


def create_app() -> FastAPI:
    app = service.create_app("notes", version="1", settings=SETTINGS, max_body_mb=1)

    @app.post("/v1/notes/{name}", responses=ERRORS)
    def add_note(name: CleanText, note: Note, _: Caller) -> str:
        """Add a note."""
        return f"{name}: {note.text * min(note.copies, 9)}"

    return app


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_app()


class TestServer(ServerContract):
    pass


def without_keys(app: FastAPI) -> None:
    app.state.access.keys = Keys()


def without_guard(app: FastAPI) -> None:
    app.user_middleware = [m for m in app.user_middleware if m.cls is not service.Guard]


def with_unclean_text(app: FastAPI) -> None:
    class Draft(BaseModel):
        text: str

    @app.post("/v1/drafts")
    def add_draft(draft: Draft) -> None:
        if "\0" in draft.text:
            raise ValueError("A string literal cannot contain NUL characters.")  # as Postgres does


def with_body_read_by_hand(app: FastAPI) -> None:
    body = {"content": {"application/json": {"schema": {"type": "object"}}}}

    @app.post("/v1/raw", openapi_extra={"requestBody": body})
    async def raw(request: Request) -> Any:
        return (await request.json())["text"]


FAULTS = [
    (without_keys, "test_every_path_requires_a_key"),
    (without_guard, "test_request_of_another_site_is_refused"),
    (with_body_read_by_hand, "test_body_that_is_no_object_is_bad_input"),
    (with_unclean_text, "test_text_that_no_database_accepts_is_bad_input"),
]


@pytest.mark.parametrize(("break_", "test"), FAULTS)
def test_fault_of_a_server_fails(
    break_: Callable[[FastAPI], None], test: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app()
    break_(app)
    headers = {"authorization": f"Bearer {KEY}"}
    with TestClient(app, raise_server_exceptions=False, headers=headers) as client:
        document = client.get("/openapi.json").json()
        fixtures: dict[str, Any] = {
            **{"app": app, "client": client, "document": document, "monkeypatch": monkeypatch},
            **{"routes": routes_of(document), "body": b"[]", "text": "a\0b", "valid": True},
        }
        method = getattr(ServerContract(), test)
        with pytest.raises(AssertionError):
            method(**{name: fixtures[name] for name in inspect.signature(method).parameters})


GOOD = """
from seedbed import cli
app = cli.create_app("Keeps notes, a line each, and serves them.")

@app.command()
def serve(port: cli.Port = 8001, host: cli.Host = "127.0.0.1") -> None:
    '''Serve the notes: one page with all of them, and a form for a new one.'''

def main(arguments=None):
    cli.main(app, arguments)
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], CommandContract]:
    """Writes a program, and returns the contract for it."""

    def write(source: str) -> CommandContract:
        folder = tmp_path / "notes"
        folder.mkdir()
        (folder / "__main__.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH')}")
        names: dict[str, Any] = {}
        exec(source, names)
        return type("Contract", (CommandContract,), {"app": names["app"], "package": "notes"})()

    return write


def test_good_command_keeps_the_contract(command: Callable[[str], CommandContract]) -> None:
    contract, verbs = command(GOOD), [[], ["serve"]]
    contract.test_every_verb_has_help(verbs)
    contract.test_help_imports_no_heavy_packages(verbs)
    contract.test_unknown_option_and_wrong_value_have_status_2(verbs)


def test_heavy_import_of_a_command_fails(command: Callable[[str], CommandContract]) -> None:
    contract = command(GOOD.replace("app = ", "import numpy\napp = "))
    with pytest.raises(AssertionError):
        contract.test_help_imports_no_heavy_packages([[], ["serve"]])
