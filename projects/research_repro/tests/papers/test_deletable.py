"""A paper is deleted with `rm -r`, and the rest of the project works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import research_repro
from research_repro import papers

IMPORTS = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""
PACKAGE = Path(research_repro.__file__).parent
PROJECT = Path(__file__).parents[2]
NAMES = sorted(path.parent.name for path in Path(papers.__file__).parent.glob("*/__init__.py"))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(len(NAMES) < 2, reason="the only paper cannot be deleted")
def test_project_works_without_its_last_paper(tmp_path: Path) -> None:
    source, tests = tmp_path / "src" / PACKAGE.name, tmp_path / "tests"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, source, ignore=ignored)
    shutil.copytree(PROJECT / "tests", tests, ignore=ignored)
    shutil.rmtree(source / "papers" / NAMES[-1])
    python_path = os.pathsep.join([str(tmp_path / "src"), *sys.path[1:]])
    options = ["-p", "no:cacheprovider", "-n", "0", "--import-mode=importlib", "-m", "not slow"]
    quick = ["-m", "pytest", "-q", *options, "--rootdir", str(tests), str(tests / "test_main.py")]
    for arguments in (["-c", IMPORTS, PACKAGE.name], quick):
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": python_path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        assert NAMES[-1] not in done.stdout
