"""`tools.doctor`: findings, and the commands that fix them; test_lift_out.py runs it in copies."""

from pathlib import Path

import pytest

from tools import doctor


def examine(root: Path) -> dict[str, doctor.Finding]:
    return {finding.topic: finding for finding in doctor.examine(root)}


def test_doctor_shows_setup_command_of_missing_project(tmp_path: Path) -> None:
    (tmp_path / "projects/missing_project").mkdir(parents=True)
    makefile = "project-missing := missing_project\nproject-deleted := deleted_project\n"
    (tmp_path / "Makefile").write_text(makefile)
    findings = examine(tmp_path)
    assert findings["missing_project"].fix == "make setup-missing"
    assert findings["missing_project"].mark == "·"
    assert "deleted_project" not in findings
    assert findings["python"].ok


def test_doctor_names_missing_api_key_of_remote_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SEEDBED_MODEL", "OPENAI_API_KEY", "SEEDBED_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".env").write_text("SEEDBED_MODEL=openai:gpt-5-mini\n")
    assert examine(tmp_path)["model"].fix == "export OPENAI_API_KEY=…"
    monkeypatch.setenv("OPENAI_API_KEY", "secret-value")
    model = examine(tmp_path)["model"]
    assert model.ok
    assert "secret-value" not in model.text
