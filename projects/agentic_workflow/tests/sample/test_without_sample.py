"""The project without the sample shop."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
IMPORTS = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""


@pytest.mark.slow
def test_project_works_without_the_sample_shop(tmp_path: Path) -> None:
    # 1. Copy the project, and delete two folders and two lines.
    for name in ("src", "tests"):
        skip = shutil.ignore_patterns("sample", "__pycache__")
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=skip)
    (package,) = (tmp_path / "src").iterdir()
    main = package / "__main__.py"
    lines = main.read_text("utf-8").splitlines(keepends=True)
    others = [line for line in lines if not re.search(r"\bsample\b", line)]
    assert len(lines) - len(others) == 2
    main.write_text("".join(others), "utf-8")
    # 2. Nothing that is left imports it, all modules can be imported, and cases are decided.
    imports = re.compile(r"(from|import) [\w.]*\bsample\b|import sample\b")
    assert [p.name for p in package.rglob("*.py") if imports.search(p.read_text("utf-8"))] == []
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "src"), *sys.path])}
    options = ["--import-mode=importlib", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider"]
    quick = ["-m", "pytest", "-q", "-m", "not slow", *options, "tests/decide/test_policy.py"]
    for arguments in (["-c", IMPORTS, package.name], quick):
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    # 3. The server names what has to be configured.
    serve = [sys.executable, "-m", package.name, "serve"]
    done = subprocess.run(serve, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Not configured: WORKFLOW_SHOP" in done.stderr
