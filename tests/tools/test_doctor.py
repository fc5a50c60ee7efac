"""The report tells what is there and what to type, also on a bare Python."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import doctor


def test_a_project_that_is_not_installed_comes_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "projects/not_there").mkdir(parents=True)
    (tmp_path / "projects/not_there/pyproject.toml").write_text("")
    found = {finding.topic: finding for finding in doctor.examine(tmp_path)}
    assert found["not_there"].fix == "make setup-not_there"
    assert found["not_there"].mark == "·"
    assert found["python"].ok


def test_a_remote_model_without_a_key_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_MODEL", "openai:gpt-5-mini")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("SEEDBED_BASE_URL", raising=False)
    found = {finding.topic: finding for finding in doctor.examine(Path.cwd())}
    assert found["model"].fix == "export OPENAI_API_KEY=…"
    monkeypatch.setenv("OPENAI_API_KEY", "secret-value")
    findings = doctor.examine(Path.cwd())
    assert next(f for f in findings if f.topic == "model").ok
    assert "secret-value" not in str(findings)


def test_settings_come_from_dotenv_and_secrets_are_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEEDBED_MODEL", raising=False)
    (tmp_path / ".env").write_text(
        "SEEDBED_MODEL=openai:own\nSEEDBED_BASE_URL=http://me:pass-word@gateway/v1\n"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:pass-word@mlflow:5000")
    found = {finding.topic: finding for finding in doctor.examine(tmp_path)}
    assert found["model"].text == "openai:own: answered by http://[SECRET]@gateway/v1"
    assert "http://[SECRET]@mlflow:5000" in found["exports"].text


def test_it_runs_on_the_standard_library_alone(tmp_path: Path) -> None:
    root = Path(doctor.__file__).parents[1]
    paths = [str(root), str(root / "shared/src")]
    code = f"import sys; sys.path[:0] = {paths};"
    code += "from tools.doctor import main; sys.exit(main(['--json']))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    findings = json.loads(done.stdout)
    assert {"python", "model", "weights"} <= {finding["topic"] for finding in findings}
    assert not any("Error" in finding["text"] for finding in findings)


def test_settings_that_cannot_be_read_yet_are_no_error(tmp_path: Path) -> None:
    """A system-wide pydantic-settings without platformdirs, before anything is installed."""
    (tmp_path / "platformdirs.py").write_text("raise ModuleNotFoundError('platformdirs')")
    done = subprocess.run(
        [sys.executable, "-m", "tools.doctor", "--json"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "platformdirs" not in done.stdout
