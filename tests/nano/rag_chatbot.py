"""The routes: a question is answered with citations, and the page is served."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tools.nano import routes, server


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    (tmp_path / "oak.md").write_text("# Oak\n\nAn oak gets 600 years old.\n", "utf-8")
    monkeypatch.setenv("SEEDBED_MODEL", "smollm2")
    monkeypatch.setenv("NANO_DOCUMENTS", str(tmp_path))
    app = server.create_app()
    routes.add_routes(app)
    yield TestClient(app)


def test_question_is_answered_with_citations(client: TestClient) -> None:
    answer = client.post("/ask", json={"question": "How old does an oak get?"}).json()
    assert answer["text"] == "An oak gets 600 years old. [1]"
    assert answer["citations"][0]["source"] == "oak.md"


def test_empty_question_is_refused(client: TestClient) -> None:
    assert client.post("/ask", json={"question": ""}).status_code == 400


def test_page_is_served(client: TestClient) -> None:
    assert "gradio" in client.get("/").text
