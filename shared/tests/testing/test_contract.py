"""The contract of servers and command lines: a good one keeps it, and each fault fails a test."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from seedbed.server import service
from seedbed.server.keys import Keys
from seedbed.server.service import CleanText, CurrentCaller, ErrorResponse
from seedbed.testing.contract import KEY, SETTINGS, CommandContract, ServerContract, routes_of

ERRORS = {"4XX": {"model": ErrorResponse, "description": "`error.type` names the reason"}}


class Note(BaseModel):
    text: CleanText
    copies: int = 1


def create_app() -> FastAPI:
    app = service.create_app("notes", version="1", settings=SETTINGS, max_body_mb=1)

    @app.post("/v1/notes/{name}", responses=ERRORS)
    def add_note(name: CleanText, note: Note, _: CurrentCaller) -> str:
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


FAULTS = [
    (without_keys, "test_every_path_requires_a_key"),
    (without_guard, "test_request_of_another_site_is_refused"),
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
        fixtures: dict[str, Any] = {"app": app, "client": client, "monkeypatch": monkeypatch}
        fixtures |= {"document": document, "routes": routes_of(document)}
        method = getattr(ServerContract(), test)
        with pytest.raises(AssertionError):
            method(**{name: fixtures[name] for name in inspect.signature(method).parameters})


def test_heavy_import_of_a_command_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Contract(CommandContract):
        package = "notes"

    (tmp_path / "notes").mkdir()
    program = tmp_path / "notes" / "__main__.py"
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH')}")
    program.write_text("import typer\ndef main(arguments):\n    pass")
    Contract().test_help_imports_no_heavy_packages([[]])
    program.write_text("import numpy, typer\ndef main(arguments):\n    pass")
    with pytest.raises(AssertionError):
        Contract().test_help_imports_no_heavy_packages([[]])
