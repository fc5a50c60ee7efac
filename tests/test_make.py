"""The verbs of the Makefile, most of them as dry runs (`make -n`)."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VERBS = [
    *(
        "help",
        "setup",
        "setup-rag",
        "run-rag",
        "demo-rag",
        "nano-rag",
        "eval-rag",
        "test",
        "test-rag",
    ),
    *("test-slow", "test-all", "test-shared", "test-repo", "bench", "smoke", "lint", "docs"),
    *("handbook", "wheelhouse"),
    *("doctor", "lock", "prefetch", "mlflow", "clean"),
    *("exercise", "exercise-rag", "check-rag", "new-rag"),
]
PROJECT_VERBS = ["setup", "run", "demo", "nano", "eval", "test", "exercise", "check", "new"]


def make(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = ["make", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", VERBS)
def test_verb_runs_a_command(verb: str) -> None:
    done = make("-n", verb)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_help_is_default_and_lists_every_verb() -> None:
    text = make().stdout
    listed = set(re.findall(r"^  make ([a-z-]+?(?:-X)?)\s", text, re.MULTILINE))
    assert {verb for verb in VERBS if "-" not in verb} | {"test-slow", "test-all"} <= listed
    assert {f"{verb}-X" for verb in PROJECT_VERBS} <= listed
    assert "X is a project: agents, finetune, rag, research, service, vision, workflow" in text


@pytest.mark.parametrize("verb", PROJECT_VERBS)
@pytest.mark.parametrize("name", ["nothing", "rag_chatbot"])
def test_unknown_project_prints_one_line_and_exits_2(verb: str, name: str) -> None:
    done = make(f"{verb}-{name}", "N=1", "TO=../x")
    assert done.returncode == 2
    available = "Available projects: agents, finetune, rag, research, service, vision, workflow."
    assert f'Unknown project "{name}". {available}' in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("verb", "example"),
    [("new-service", "make new-service TO=../my-bot"), ("exercise-rag", "make exercise-rag N=1")],
)
def test_verb_without_arguments_shows_example(verb: str, example: str) -> None:
    done = make(verb)
    assert done.returncode == 2
    assert example in done.stderr


def test_exercise_lists_exercises_of_all_projects() -> None:
    done = make("exercise")
    assert done.returncode == 0, done.stderr
    for name in ("finetune", "rag", "service"):
        for number in (1, 2, 3):
            assert f"`make exercise-{name} N={number}`" in done.stdout


def test_exercise_prints_hint_without_a_copy() -> None:
    done = make("exercise-rag", "N=1", "HINT=1")
    assert done.returncode == 0, done.stderr
    settings = ROOT / "projects/rag_chatbot/exercises/1_merge_two_searches/exercise.toml"
    assert done.stdout.strip() == tomllib.loads(settings.read_text("utf-8"))["hint"]
    assert "solve rag_chatbot 1" in make("-n", "exercise-rag", "N=1", "SOLUTION=1").stdout


def test_every_project_has_a_name_in_the_makefile() -> None:
    """The name is also the prefix of the project's settings, in lower case."""
    text = (ROOT / "Makefile").read_text("utf-8")
    names = {folder: name for name, folder in re.findall(r"^project-(\S+) := (\S+)$", text, re.M)}
    assert set(names) == {file.parent.name for file in ROOT.glob("projects/*/pyproject.toml")}
    for folder, name in names.items():
        config = (ROOT / f"projects/{folder}/src/{folder}/config.py").read_text("utf-8")
        assert f'env_prefix="{name.upper()}_"' in config
        assert f"\nrun-{name} := " in text


def test_wheels_are_installed_without_an_index(tmp_path: Path) -> None:
    done = make("-n", "setup-rag", "VENV=absent", f"WHEELS={tmp_path}")
    installs = [line for line in done.stdout.splitlines() if "uv pip install" in line]
    assert installs
    assert all(f'--no-index --find-links "{tmp_path}"' in line for line in installs)


def test_later_verbs_install_from_the_same_wheels(tmp_path: Path) -> None:
    """`make nano-rag` installs more than `make setup-rag` does, also where there is no network."""
    venv, wheels = tmp_path / "venv", tmp_path / "wheels"
    venv.mkdir()
    wheels.mkdir()
    recorded = re.search(
        "echo .* > .*", make("-n", "setup-rag", f"VENV={venv}", f"WHEELS={wheels}").stdout
    )
    assert recorded
    subprocess.run(["sh", "-c", recorded[0]], check=True)
    assert f'--no-index --find-links "{wheels}"' in make("-n", "nano-rag", f"VENV={venv}").stdout
    wheels.rmdir()
    assert "--no-index" not in make("-n", "nano-rag", f"VENV={venv}").stdout


def test_port_is_passed_to_project() -> None:
    assert "PORT=9001 .venv/bin/rag-chatbot serve docs" in make("-n", "run-rag", "PORT=9001").stdout


VERBS_WITHOUT_SETUP = [
    [".venv/bin/uv"],
    ["new-rag", "TO=../my-bot"],
    ["exercise-rag", "N=1"],
]


@pytest.mark.parametrize("words", VERBS_WITHOUT_SETUP, ids=lambda words: words[0])
def test_old_python_is_reported_with_command_to_run(words: list[str], tmp_path: Path) -> None:
    bare = bare_copy(tmp_path)
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\ncase "$1" in --version) echo "Python 3.9.1";; *) exit 1;; esac\n')
    old.chmod(0o755)
    done = make(*words, f"PYTHON={old}", cwd=bare)
    assert done.returncode == 2
    assert f"Python 3.11 or later is required; {old} is Python 3.9.1." in done.stdout
    assert f"make PYTHON=python3.12 {words[0]}" in done.stdout
    assert all(word in done.stdout for word in words)
    assert not (bare / ".venv").exists()


def test_missing_python_is_reported_in_one_line(tmp_path: Path) -> None:
    done = make(".venv/bin/uv", "PYTHON=nopython", cwd=bare_copy(tmp_path))
    assert done.returncode == 2
    assert done.stdout.startswith("nopython is not installed. Install Python 3.11 or later")
    assert len(done.stdout.splitlines()) == 1
    assert len(done.stderr.splitlines()) == 1  # make's own


def bare_copy(folder: Path) -> Path:
    """The Makefile and one project's pyproject.toml, in a path with a space and an umlaut."""
    copy = folder / "übung 1"
    copy_files(copy, "Makefile", "tools/install.mk", "projects/rag_chatbot/pyproject.toml")
    return copy


def copy_files(target: Path, *names: str) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository without its code, and a .venv whose Python is the one running this test."""
    root = bare_copy(tmp_path)
    copy_files(root, "pyproject.toml", "constraints.txt")
    copy_files(root, "shared/pyproject.toml", "shared/models.txt")
    for name in ("shared/tests", "tests", "projects/rag_chatbot/tests"):
        (root / name).mkdir(parents=True)
    (root / "tests/test_passes.py").write_text("def test_it():\n    assert True\n")
    (root / ".gitignore").write_text(".venv/\n__pycache__/\n.pytest_cache/\n")
    binaries = root / ".venv/bin"
    binaries.mkdir(parents=True)
    for program in ("python", "uv"):
        wrapper = binaries / program
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        wrapper.chmod(0o755)
    for stamp in ("rag_chatbot.ready", "dev.ready"):
        (root / ".venv" / stamp).write_text("")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return root


HERE = "ARGS=-n 0"  # in one process, which starts sooner


@pytest.mark.slow
def test_make_test_passes_if_all_tests_pass(copy: Path) -> None:
    done = make("test", cwd=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.slow
def test_make_test_runs_tests_of_every_folder(copy: Path) -> None:
    for place in ("shared/tests", "tests", "projects/rag_chatbot/tests"):
        (copy / place / "test_planted.py").write_text("def test_it():\n    assert False\n")
    done = make("test", HERE, cwd=copy)
    assert done.returncode == 2
    assert "3 failed, 1 passed" in done.stdout


@pytest.mark.slow
def test_make_test_fails_if_test_changes_working_tree(copy: Path) -> None:
    (copy / "tests/test_dirty.py").write_text(
        "def test_it():\n    open('left.txt', 'w').close()\n    assert True\n"
    )
    done = make("test", HERE, cwd=copy)
    assert done.returncode == 2
    assert "left.txt" in done.stdout
    assert "The tests changed the working tree" in done.stdout


@pytest.mark.slow
def test_make_test_skips_slow_tests(copy: Path) -> None:
    (copy / "tests/test_slow.py").write_text(
        "import pytest\n\n@pytest.mark.slow\ndef test_it():\n    assert False\n"
    )
    done = make("test-all", HERE, cwd=copy)
    assert done.returncode == 2
    assert "1 passed, 1 deselected" in done.stdout
    assert "1 failed, 1 deselected" in done.stdout


def test_failed_installation_is_not_retried(copy: Path) -> None:
    calls = copy / "calls"
    (copy / ".venv/bin/uv").write_text(f"#!/bin/sh\necho \"$@\" >> '{calls}'\nexit 1\n")
    (copy / ".venv/rag_chatbot.ready").unlink()
    assert make("setup-rag", cwd=copy).returncode == 2
    (call,) = calls.read_text().splitlines()
    assert call.startswith("pip install --python .venv")
    assert str(copy) not in call  # a path with a space would need quotes
    assert not (copy / ".venv/rag_chatbot.ready").exists()


def test_project_is_reinstalled_when_dependencies_change(copy: Path) -> None:
    assert "uv pip install" not in make("-n", "run-rag", cwd=copy).stdout
    for name in ("projects/rag_chatbot/pyproject.toml", "shared/models.txt", "constraints.txt"):
        stamp = copy / ".venv/rag_chatbot.ready"
        later = stamp.stat().st_mtime + 5

        os.utime(copy / name, (later, later))
        assert "uv pip install" in make("-n", "run-rag", cwd=copy).stdout
        os.utime(stamp, (later + 5, later + 5))
        assert "uv pip install" not in make("-n", "run-rag", cwd=copy).stdout
