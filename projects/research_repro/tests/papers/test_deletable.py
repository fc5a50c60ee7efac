"""A paper is deleted with `rm -r`, and the rest of the project passes its tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import research_repro
from research_repro import papers

PACKAGE = Path(research_repro.__file__).parent
PROJECT = Path(__file__).parents[2]
NAMES = sorted(path.parent.name for path in Path(papers.__file__).parent.glob("*/__init__.py"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(len(NAMES) < 2, reason="the only paper cannot be deleted")
def test_project_without_its_last_paper_passes_its_tests(tmp_path: Path) -> None:
    source, tests = tmp_path / "src" / PACKAGE.name, tmp_path / "tests"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, source, ignore=ignored)
    shutil.copytree(PROJECT / "tests", tests, ignore=ignored)
    shutil.copy(PROJECT / "nano.py", tmp_path)
    shutil.rmtree(source / "papers" / NAMES[-1])
    python_path = os.pathsep.join([str(tmp_path / "src"), *sys.path[1:]])
    quick = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    done = subprocess.run(
        [*quick, "-n", "0", "--import-mode=importlib", "--rootdir", str(tests), str(tests)],
        env={**os.environ, "PYTHONPATH": python_path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert NAMES[-1] not in done.stdout
