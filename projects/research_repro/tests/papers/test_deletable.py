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

SCRIPT = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
main = importlib.import_module(package.__name__ + ".__main__").main
sys.argv = ["x", "list"]
main()
"""
PACKAGE = Path(research_repro.__file__).parent
NAMES = sorted(path.parent.name for path in Path(papers.__file__).parent.glob("*/__init__.py"))


@pytest.mark.slow
@pytest.mark.skipif(len(NAMES) < 2, reason="the only paper cannot be deleted")
def test_every_module_and_list_work_without_the_last_paper(tmp_path: Path) -> None:
    source = tmp_path / "src" / PACKAGE.name
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(source / "papers" / NAMES[-1])
    python_path = os.pathsep.join([str(tmp_path / "src"), *sys.path[1:]])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, PACKAGE.name],
        env={**os.environ, "PYTHONPATH": python_path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert NAMES[0] in done.stdout and NAMES[-1] not in done.stdout
