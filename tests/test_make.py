"""The verbs: each does something, an unknown project is one line, and tests can fail."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERBS = [
    *("help", "setup", "setup-rag", "run-rag", "demo-rag", "eval-rag", "test", "test-rag"),
    *("test-shared", "test-repo", "bench", "smoke", "lint", "docs", "doctor", "lock", "prefetch"),
    *("clean", "setup-rag_chatbot", "test-rag_chatbot"),
]


def make(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = ["make", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_would_run_something(verb: str) -> None:
    done = make("-n", verb)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_help_is_the_default_and_lists_every_verb() -> None:
    text = make().stdout
    listed = set(re.findall(r"^  make ([a-z-]+?(?:-X)?)\s", text, re.MULTILINE))
    assert {verb for verb in VERBS if "-" not in verb} <= listed
    assert {"setup-X", "run-X", "demo-X", "test-X", "eval-X", "new", "exercise"} <= listed


@pytest.mark.parametrize("verb", ["setup-nothing", "run-nothing", "demo-nothing", "test-nothing"])
def test_a_project_that_is_not_there_is_one_line_and_exit_2(verb: str) -> None:
    done = make(verb)
    assert done.returncode == 2
    assert 'no project "nothing"' in done.stderr
    assert "rag_chatbot" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_port_reaches_the_project() -> None:
    assert "PORT=9001 .venv/bin/rag-chatbot serve docs" in make("-n", "run-rag", "PORT=9001").stdout


def test_an_old_python_is_told_what_to_do(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\ncase "$1" in --version) echo "Python 3.9.1";; *) exit 1;; esac\n')
    old.chmod(0o755)
    done = make(".venv/bin/uv", f"PYTHON={old}", cwd=tmp_path)
    assert done.returncode == 2
    assert "Python 3.11 or later is needed" in done.stdout
    assert "Python 3.9.1" in done.stdout
    assert not (tmp_path / ".venv").exists()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository without its code, set up by a virtual environment that is only lent."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for name in (
        "shared/pyproject.toml",
        "shared/models.txt",
        "projects/rag_chatbot/pyproject.toml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("shared/tests", "tests", "projects/rag_chatbot/tests"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tests/test_passes.py").write_text("def test_it():\n    assert True\n")
    (tmp_path / ".gitignore").write_text(".venv/\n__pycache__/\n.pytest_cache/\n")
    binaries = tmp_path / ".venv/bin"
    binaries.mkdir(parents=True)
    for program in ("python", "uv"):
        wrapper = binaries / program
        wrapper.write_text(f'#!/bin/sh\nexec {Path(sys.executable)} "$@"\n')
        wrapper.chmod(0o755)
    for stamp in ("rag_chatbot.ready", "dev.ready"):
        (tmp_path / ".venv" / stamp).write_text("")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def test_make_test_passes_where_all_tests_pass(copy: Path) -> None:
    done = make("test", cwd=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("place", ["shared/tests", "tests", "projects/rag_chatbot/tests"])
def test_make_test_fails_where_one_test_fails(copy: Path, place: str) -> None:
    (copy / place / "test_planted.py").write_text("def test_it():\n    assert False\n")
    done = make("test", cwd=copy)
    assert done.returncode == 2
    assert "1 failed, 1 passed" in done.stdout


def test_make_test_fails_where_a_test_dirties_the_tree(copy: Path) -> None:
    (copy / "tests/test_dirty.py").write_text(
        "def test_it():\n    open('left.txt', 'w').close()\n    assert True\n"
    )
    done = make("test", cwd=copy)
    assert done.returncode == 2
    assert "left.txt" in done.stdout
    assert "The tests changed the tree" in done.stdout


def test_a_project_is_set_up_again_when_its_dependencies_change(copy: Path) -> None:
    assert "uv pip install" not in make("-n", "run-rag", cwd=copy).stdout
    for name in ("projects/rag_chatbot/pyproject.toml", "shared/models.txt", "constraints.txt"):
        stamp = copy / ".venv/rag_chatbot.ready"
        later = stamp.stat().st_mtime + 5

        os.utime(copy / name, (later, later))
        assert "uv pip install" in make("-n", "run-rag", cwd=copy).stdout
        os.utime(stamp, (later + 5, later + 5))
        assert "uv pip install" not in make("-n", "run-rag", cwd=copy).stdout
