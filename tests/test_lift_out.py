"""A lifted-out project lives without the repository: it installs, passes its tests, answers."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import starter

ROOT = Path(__file__).parents[1]
# Where the system allows it, an empty folder is mounted over the repository.
HIDE = f'mount -t tmpfs none {shlex.quote(str(ROOT))} && cd "$0" && exec '


def can_hide() -> bool:
    if not shutil.which("unshare"):
        return False
    probe = ["unshare", "--mount", "--map-root-user", "sh", "-c", HIDE + "true", "/"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def run(folder: Path, *words: str) -> str:
    """Run a command in `folder` with the repository out of reach; returns what it printed."""
    command = list(words)
    if can_hide():
        script = HIDE + '"$@"'
        command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, str(folder), *words]
    gone = {"VIRTUAL_ENV", "PYTHONPATH"}
    env = {name: value for name, value in os.environ.items() if name not in gone}
    env["PATH"] = os.pathsep.join(p for p in env["PATH"].split(os.pathsep) if str(ROOT) not in p)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-6000:]
    return printed


# A project, and a line of what its demo prints.
PROJECTS = {
    "rag_chatbot": "[1]",
    "llm_service": "ok     tool call: get_weather",
    "finetune_lora": "Valid tool calls: 6 of 6",
}


@pytest.fixture(scope="module", params=PROJECTS)
def project(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lifted(project: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("else where") / "my-own"
    starter.lift(project, folder, root=ROOT)
    uv = tmp_path_factory.mktemp("bin") / "uv"
    shutil.copy2(Path(sys.executable).with_name("uv"), uv)  # as found on a developer's PATH
    run(folder, "make", ".venv/test.ready", f"UV={uv}", f"PYTHON={base_python()}")
    return folder


def base_python() -> str:
    return str(Path(sys.base_prefix) / "bin" / "python3")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_in_it_points_back(lifted: Path, project: str) -> None:
    files = [lifted / name for name in run(lifted, "git", "ls-files").splitlines()]
    found = [str(path) for path in files if str(ROOT).encode() in path.read_bytes()]
    assert found == []
    names = {path.relative_to(lifted).as_posix() for path in files}
    assert not any(project in name for name in names)
    assert {"src/my_own/__main__.py", "vendor/seedbed/pyproject.toml", "Dockerfile"} <= names
    assert {"docs/README.md", "constraints.txt", "LICENSE", ".env.example"} <= names


@pytest.mark.slow
def test_its_readme_names_only_what_is_there(lifted: Path) -> None:
    readme = (lifted / "README.md").read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", readme)
    assert links
    assert [link for link in links if not (lifted / link).exists()] == []
    verbs = set(re.findall(r"\bmake ([a-z-]+)", readme))
    makefile = (lifted / "Makefile").read_text("utf-8")
    assert [verb for verb in verbs if f"\n{verb}:" not in makefile] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_its_demo_answers(lifted: Path, project: str) -> None:
    assert PROJECTS[project] in run(lifted, "make", "demo")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_its_tests_pass(lifted: Path) -> None:
    printed = run(lifted, "make", "test", "ARGS=-m 'not slow and not browser' -p no:cacheprovider")
    assert " passed" in printed
    assert " failed" not in printed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_its_code_is_clean_and_its_tree_too(lifted: Path) -> None:
    assert "All checks passed" in run(lifted, "make", "lint")
    assert run(lifted, "git", "status", "--short") == ""
