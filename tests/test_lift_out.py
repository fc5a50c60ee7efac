"""A lifted-out project works without the repository: installation, tests, demo."""

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
    unset = {"VIRTUAL_ENV", "PYTHONPATH"}
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env["PATH"] = os.pathsep.join(p for p in env["PATH"].split(os.pathsep) if str(ROOT) not in p)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed[-6000:]
    return printed


# Each project's name in the verbs, and a line that its demo prints.
VERBS = {"rag_chatbot": "rag", "llm_service": "service", "finetune_lora": "finetune"}
PROJECTS = {
    "rag_chatbot": "[1]",
    "llm_service": "✓ tool call: get_weather",
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
def test_lifted_files_refer_to_nothing_outside(lifted: Path, project: str) -> None:
    files = [lifted / name for name in run(lifted, "git", "ls-files").splitlines()]
    assert [str(path) for path in files if str(ROOT).encode() in path.read_bytes()] == []
    names = {path.relative_to(lifted).as_posix() for path in files}
    assert not any(project in name for name in names)
    assert {"src/my_own/__main__.py", "vendor/seedbed/pyproject.toml", "Dockerfile"} <= names
    assert {"constraints.txt", "LICENSE", ".env.example"} <= names
    assert {name for name in names if name.startswith("tools/")} == {"tools/exercises.py"}


@pytest.mark.parametrize("project", PROJECTS)
def test_lifted_files_use_new_name_only(project: str, tmp_path: Path) -> None:
    """Neither its old name nor `rag_chatbot`, whichever project it is."""
    folder = starter.lift(project, tmp_path / "my-own", root=ROOT)
    verb, command = VERBS[project], project.replace("_", "-")
    old_names = re.compile(
        rf"\b({project}|{command}|rag_chatbot|rag-chatbot)\b|\b({verb.upper()}|RAG)_DATA_DIR\b"
        rf"|\bmake [a-z]+-{verb}\b"
    )
    hits = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] != ".git":
            text = path.read_bytes().decode("utf-8", "ignore")
            hits += [f"{name}: {match[0]}" for match in old_names.finditer(text)]
    # seedbed's docstrings may use another project as an example.
    hits = [hit for hit in hits if not hit.startswith("vendor/") or "rag" in hit]
    assert hits == []


@pytest.mark.slow
def test_lifted_readme_names_existing_files_and_verbs(lifted: Path) -> None:
    readme = (lifted / "README.md").read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", readme)
    assert links
    assert [link for link in links if not (lifted / link).exists()] == []
    verbs = set(re.findall(r"\bmake ([a-z-]+)", readme))
    makefile = (lifted / "Makefile").read_text("utf-8")
    assert [verb for verb in verbs if f"\n{verb}:" not in makefile] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_lifted_demo_succeeds(lifted: Path, project: str) -> None:
    assert PROJECTS[project] in run(lifted, "make", "demo")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_lifted_tests_pass(lifted: Path) -> None:
    printed = run(lifted, "make", "test", "ARGS=-m 'not slow and not browser' -p no:cacheprovider")
    assert " passed" in printed
    assert " failed" not in printed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_lifted_code_passes_lint_and_tree_stays_clean(lifted: Path) -> None:
    assert "All checks passed" in run(lifted, "make", "lint")
    assert run(lifted, "git", "status", "--short") == ""
