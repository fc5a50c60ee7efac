"""The routes: the claim is measured, and its record and figure are served."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tools.nano import app as program
from tools.nano import routes, server


def test_run_is_recorded_and_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (program, routes):
        monkeypatch.setattr(module, "DATA", tmp_path)
    monkeypatch.setattr(program, "SEEDS", (0, 1, 2))
    monkeypatch.setattr(program, "RANKS", (4,))
    app = server.create_app()
    routes.add_routes(app)
    client = TestClient(app)
    assert client.get("/result.json").status_code == 404
    assert client.post("/run").json() == {"holds": True}
    assert client.get("/result.json").json()["holds"] is True
    assert client.get("/missed.png").content.startswith(b"\x89PNG")
