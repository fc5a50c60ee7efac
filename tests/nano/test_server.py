"""The server around the routes: its key, its limits, its probe and its errors."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from pydantic import BaseModel

from tools.nano import server


class Body(BaseModel):
    text: str


def client(key: str = "") -> TestClient:
    app = server.create_app(key)

    @app.post("/echo")
    def echo(body: Body) -> str:
        return body.text

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.get("/fail/{status}")
    def fail(status: int) -> None:
        error = RuntimeError("private text")
        if status:
            error.status = status  # type: ignore[attr-defined]  # as errors of models have it
        raise error

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("key", "header", "status"),
    [
        ("", "", 200),
        ("secret", "", 401),
        ("secret", "Bearer x", 401),
        ("secret", "Bearer secret", 200),
    ],
)
def test_key_is_required_if_there_is_one(key: str, header: str, status: int) -> None:
    app = client(key)
    response = app.post("/echo", json={"text": "Hi"}, headers={"authorization": header})
    assert response.status_code == status
    assert ("error" in response.text, "Hi" in response.text) == (status == 401, status == 200)
    assert app.get("/health").json() == {"status": "ok"}  # a probe needs no key


@pytest.mark.parametrize("path", ["/size", "/echo"])
def test_large_body_is_refused_while_it_arrives(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_BODY", 1000)
    pieces = iter([b" " * 600] * 4)  # in chunks: its size is not declared
    response = client().post(path, content=pieces, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert "1000 bytes" in response.json()["error"]["message"]


def test_full_server_refuses_and_probe_still_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_RUNNING", 0)
    full = client()
    response = full.post("/echo", json={"text": "Hi"})
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert full.get("/health").status_code == 200


def test_request_that_failed_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_RUNNING", 1)
    failing = client()
    assert [failing.get("/fail/0").status_code for _ in range(2)] == [500, 500]


@pytest.mark.parametrize(
    ("body", "message"), [({}, "text: Field required"), ({"text": 1}, "text: Input should be")]
)
def test_invalid_body_names_the_field(body: Any, message: str) -> None:
    response = client().post("/echo", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(message)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/fail/429", 429, "private text"),
        ("/fail/0", 500, "Something failed on our side; it is logged."),
        ("/unknown", 404, "Not Found"),
    ],
)
def test_error_has_a_status_and_one_form(path: str, status: int, message: str) -> None:
    response = client().get(path)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["message"]) == (status, status, message)


def test_other_addresses_need_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # away from any .env
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.delenv("NANO_KEY", raising=False)
    with pytest.raises(SystemExit, match="Set NANO_KEY before you bind"):
        server.main()
