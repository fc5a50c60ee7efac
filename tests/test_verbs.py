"""Verbs of the Makefile, typed with the packages that are installed.

`test_make.py` types those that answer at once. In a project that was copied out, `test_lift_out.py`
types them all.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seedbed.testing.launch import free_port, run_server

ROOT = Path(__file__).parents[1]
NAMES = ("agents", "finetune", "rag", "research", "service", "vision", "workflow")


def words(verb: str, *more: str) -> list[str]:
    """The command; what is installed counts as up to date."""
    stamps = [f"{sys.prefix}/{path.parent.name}.ready" for path in ROOT.glob("projects/*/src")]
    old = [word for stamp in [*stamps, f"{sys.prefix}/dev.ready"] for word in ("-o", stamp)]
    return ["make", *old, f"VENV={sys.prefix}", verb, *more]


def make(verb: str, *more: str, status: int = 0) -> str:
    command = words(verb, *more)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == status, printed[-6000:]
    return printed


@pytest.mark.parametrize("name", NAMES)
def test_verbs_of_a_project_answer(name: str) -> None:
    assert "Installed " in make(f"setup-{name}")
    assert f"`make exercise-{name} N=1`" in make("exercise")
    assert make(f"exercise-{name}", "N=1", "HINT=1").strip()
    assert "N=" in make(f"check-{name}", status=2)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_weights_are_prefetched() -> None:
    assert "minilm" in make("prefetch", "MODEL=minilm")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["rag", "service"])
def test_server_starts_on_the_port(name: str, tmp_path: Path) -> None:
    port, env = free_port(), {f"{name.upper()}_DATA_DIR": str(tmp_path)}
    command = ["make", "-C", str(ROOT), *words(f"run-{name}", f"PORT={port}")[1:]]
    with run_server(command, port, "/healthz", timeout=600, env=os.environ | env) as server:
        assert server.poll() is None
