"""Each verb of the Makefile is typed once, with the packages that are installed.

`test_make.py` types those that answer at once. In a project that was copied out, `test_lift_out.py`
types them all.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seedbed.testing.launch import free_port, run_server

ROOT = Path(__file__).parents[1]
NAMES = ("agents", "finetune", "rag", "research", "service", "vision", "workflow")
# Verbs that no test can type, and why.
NOT_TYPED = {
    "lock": "asks PyPI for the newest versions",
    "wheelhouse": "downloads what is installed",
    "handbook": "downloads the generator of the site",
    "bench": "measures for an hour, and replaces the published figures",
    "eval-finetune": "needs an adapter, which takes ten minutes of training",
    "eval-research": "reproduces every paper, as its slow tests do",
    # Of these, every run of CI types each, or they would start the tests in a test.
    **dict.fromkeys(("smoke", "test", "test-slow", "test-all", "setup", "lint"), "CI types it"),
    **{f"nano-{name}": "runs in tests/test_nano.py of the project" for name in NAMES},
    **dict.fromkeys(("stack", "trace"), "run in tests/tools/test_stack.py"),
    "flywheel": "run in tests/tools/test_flywheel.py",
    "clean": "removes what is installed; typed in a copy",
    "update-copy": "typed in a clone, by `make update` of a copy",
}
EVALUATIONS = ("agents", "rag", "service", "vision", "workflow")
TYPED = {
    *("docs", "doctor", "mlflow", "prefetch"),
    *("help", "exercise", "test-shared", "test-repo"),
    *(f"{verb}-{name}" for verb in ("setup", "run", "demo", "test") for name in NAMES),
    *(f"{verb}-{name}" for verb in ("exercise", "check", "new") for name in NAMES),
    *(f"eval-{name}" for name in EVALUATIONS),
}


def words(verb: str, *more: str) -> list[str]:
    """The command; what is installed counts as up to date."""
    stamps = [f"{sys.prefix}/{path.parent.name}.ready" for path in ROOT.glob("projects/*/src")]
    old = [word for stamp in [*stamps, f"{sys.prefix}/dev.ready"] for word in ("-o", stamp)]
    return ["make", *old, f"VENV={sys.prefix}", verb, *more]


def make(verb: str, *more: str, status: int | None = 0, **variables: str) -> str:
    done = subprocess.run(
        words(verb, *more),
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert status in (None, done.returncode), printed[-6000:]
    return printed


def test_every_verb_is_typed_or_has_a_reason() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    patterns = set(re.findall(r"^([a-z-]+)-%:(?!=)", text, re.MULTILINE))
    plain = set(re.findall(r"^([a-z-]+):(?!=)", text, re.MULTILINE))
    assert patterns
    every = plain | {f"{verb}-{name}" for verb in patterns for name in NAMES}
    assert every == TYPED | set(NOT_TYPED)


@pytest.mark.parametrize("name", NAMES)
def test_verbs_of_a_project_answer(name: str) -> None:
    assert "Installed " in make(f"setup-{name}")
    assert make(f"exercise-{name}", "N=1", "HINT=1").strip()
    assert "N=" in make(f"check-{name}", status=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_new_copies_a_project(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "my-own"
    make(f"new-{name}", f"TO={copy}")
    assert (copy / "Makefile").exists()


def test_doctor_answers() -> None:
    assert "python" in make("doctor")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [*NAMES, "shared", "repo"])
def test_tests_of_a_part_are_collected(name: str) -> None:
    assert "test_" in make(f"test-{name}", "ARGS=--collect-only -q")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", EVALUATIONS)
def test_evaluation_prints_figures(name: str, tmp_path: Path) -> None:
    printed = make(f"eval-{name}", **{f"{name.upper()}_DATA_DIR": str(tmp_path)})
    assert re.search(r"\d", printed.partition("\n")[2])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("verb", [*(f"run-{name}" for name in NAMES), "mlflow"])
def test_server_starts_on_the_port(verb: str, tmp_path: Path) -> None:
    port = free_port()
    name = "finetune" if verb == "mlflow" else verb.partition("-")[2]
    env = {f"{name.upper()}_DATA_DIR": str(tmp_path)} if name else {}
    path = "/" if verb in ("handbook", "mlflow") else "/healthz"
    command = ["make", "-C", str(ROOT), *words(verb, f"PORT={port}")[1:]]
    with run_server(command, port, path, timeout=600, env=env) as server:
        assert server.poll() is None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_generators_and_checks_run() -> None:
    assert "The docs are up to date." in make("docs")
    assert "minilm" in make("prefetch", "MODEL=minilm")
    assert (ROOT / "var/release/sbom.json").exists()
