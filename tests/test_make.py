"""The verbs of the Makefile, most of them as dry runs (`make -n`)."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT_VERBS = ["setup", "run", "demo", "nano", "eval", "test", "exercise", "check", "new"]
VERBS = ["help", "setup", "test", "test-slow", "bench", "smoke", "lint", "docs", "handbook"]
VERBS += ["doctor", "prefetch", "exercise", "flywheel"]


def make(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = ["make", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_help_is_default_and_lists_every_verb() -> None:
    text = make().stdout
    listed = re.findall(r"^  make ([a-z-]+?(?:-X)?)\s", text, re.MULTILINE)
    assert set(listed) == {*VERBS, *(f"{verb}-X" for verb in PROJECT_VERBS)}
    assert "X is a project: agents finetune rag research service vision workflow" in text


def test_every_verb_runs_a_command() -> None:
    for verb in [*VERBS, *(f"{verb}-rag" for verb in PROJECT_VERBS), "test-shared", "test-repo"]:
        done = make("-n", verb)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


@pytest.mark.parametrize("verb", PROJECT_VERBS)
def test_unknown_project_prints_one_line_and_exits_2(verb: str) -> None:
    done = make(f"{verb}-rag_chatbot", "N=1", "TO=../x")
    assert done.returncode == 2
    available = "Available projects: agents finetune rag research service vision workflow."
    assert f'Unknown project "rag_chatbot". {available}' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["agents", "rag", "workflow"])
def test_verbs_of_an_installed_project_answer(name: str) -> None:
    # What is installed counts as up to date.
    stamps = [f"{sys.prefix}/{path.parent.name}.ready" for path in ROOT.glob("projects/*/src")]
    options = [f"VENV={sys.prefix}", *(word for stamp in stamps for word in ("-o", stamp))]
    assert "Installed " in make(*options, f"setup-{name}").stdout
    assert f"`make exercise-{name} N=1`" in make(*options, "exercise").stdout
    assert make(*options, f"exercise-{name}", "N=1", "HINT=1").stdout.strip()
    assert "N=" in make(*options, f"check-{name}").stderr


def test_verb_without_arguments_shows_example() -> None:
    examples = {"new-service": "make new-service TO=../my-bot", "exercise-rag": "N=1"}
    for verb, example in examples.items():
        done = make(verb)
        assert done.returncode == 2
        assert example in done.stderr


def test_every_project_has_a_name_in_the_makefile() -> None:
    """The name is also the prefix of the project's settings, in lower case."""
    text = (ROOT / "Makefile").read_text("utf-8")
    names = {folder: name for name, folder in re.findall(r"^project-(\S+) := (\S+)$", text, re.M)}
    assert set(names) == {file.parent.name for file in ROOT.glob("projects/*/pyproject.toml")}
    for folder, name in names.items():
        config = (ROOT / f"projects/{folder}/src/{folder}/config.py").read_text("utf-8")
        assert f'env_prefix="{name.upper()}_"' in config
        assert f"\nrun-{name} := " in text


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository without its code, in a path with a space and an umlaut."""
    root = tmp_path / "übung 1"
    names = ["Makefile", "tools/install.mk", "pyproject.toml", "constraints.txt"]
    names += ["shared/pyproject.toml", "shared/models.txt", "projects/rag_chatbot/pyproject.toml"]
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    return root


@pytest.mark.parametrize("words", [["setup-rag"], ["new-rag", "TO=../my-bot"], ["doctor"]])
def test_old_or_missing_python_is_reported_in_one_line(words: list[str], copy: Path) -> None:
    old = copy / "old-python"
    old.write_text('#!/bin/sh\ncase "$1" in --version) echo "Python 3.9.1";; *) exit 1;; esac\n')
    old.chmod(0o755)
    for python, state in (("./old-python", "Python 3.9.1"), ("nopython", "not installed")):
        done = make(*words, f"PYTHON={python}", cwd=copy)
        assert done.returncode == 2
        assert f"Python 3.11 or later is required; {python} is {state}." in done.stdout
        assert f"make PYTHON=python3.12 {words[0]}" in done.stdout
        assert len(done.stderr.splitlines()) == 1  # make's own
        assert not (copy / ".venv").exists()


@pytest.mark.parametrize(("version", "uv"), [("0.8.9", ".venv/bin/uv"), ("0.9.1", "uv")])
def test_uv_on_path_is_used_from_version_0_9(
    version: str, uv: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "uv").write_text(f'#!/bin/sh\necho "uv {version} (abc 2025-01-01)"\n')
    (copy / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(copy), prepend=os.pathsep)
    assert f"\n{uv} pip install --python .venv" in make("-n", "setup-rag", cwd=copy).stdout


def test_absolute_folder_of_packages_may_contain_a_space(copy: Path) -> None:
    done = make("-n", "setup-rag", f"VENV={copy}/.venv", cwd=copy)
    assert done.returncode == 0, done.stderr
    assert "touch .venv/rag_chatbot.ready" in done.stdout


def test_project_is_installed_once_and_when_dependencies_change(copy: Path) -> None:
    binaries, calls = copy / ".venv/bin", copy / "calls"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    (binaries / "uv").write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(calls))}\nexit 1\n')
    (binaries / "uv").chmod(0o755)
    uv = "UV=.venv/bin/uv"
    assert make("setup-rag", uv, cwd=copy).returncode == 2
    (call,) = calls.read_text().splitlines()  # a failed installation is not tried again
    assert call.startswith("pip install --python .venv")
    assert str(copy) not in call  # a path with a space would need quotes
    stamp = copy / ".venv/rag_chatbot.ready"
    assert not stamp.exists()
    stamp.write_text("")
    assert "pip install" not in make("-n", "run-rag", uv, cwd=copy).stdout
    for name in ("projects/rag_chatbot/pyproject.toml", "shared/models.txt", "constraints.txt"):
        later = stamp.stat().st_mtime + 5
        os.utime(copy / name, (later, later))
        assert "pip install" in make("-n", "run-rag", uv, cwd=copy).stdout
        os.utime(stamp, (later + 5, later + 5))
