"""The project without the sample shop."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SETTINGS = """[pytest]
addopts = --import-mode=importlib
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
markers =
    slow: .
    browser: .
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_project_without_the_sample_shop_passes_its_tests(tmp_path: Path) -> None:
    # 1. Copy the project, and delete two folders and two lines.
    for name in ("src", "tests", "eval", "examples"):
        skip = shutil.ignore_patterns("sample", "__pycache__")
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=skip)
    shutil.copy(PROJECT / "nano.py", tmp_path)
    (package,) = (tmp_path / "src").iterdir()
    main = package / "__main__.py"
    lines = main.read_text("utf-8").splitlines(keepends=True)
    others = [line for line in lines if not re.search(r"\bsample\b", line)]
    assert len(lines) - len(others) == 2
    main.write_text("".join(others), "utf-8")
    # 2. Nothing that is left imports it, and the quick tests pass.
    imports = re.compile(r"(from|import) [\w.]*\bsample\b|import sample\b")
    assert [p.name for p in package.rglob("*.py") if imports.search(p.read_text("utf-8"))] == []
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "src"), *sys.path])}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", "-n", "0", "tests"]
    command += ["--ignore=tests/serve/test_monitoring.py"]  # about files outside the project
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    # 3. The server names what has to be configured.
    serve = [sys.executable, "-m", package.name, "serve"]
    done = subprocess.run(serve, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Not configured: WORKFLOW_SHOP" in done.stderr
