"""Each plug-in can be deleted: the rest of the service can be imported and keeps its contract."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llm_service import plugins

PACKAGE = Path(plugins.__file__).parent
TESTS = Path(__file__).parent
NAMES = (*plugins.PROTOCOLS, plugins.BACKENDS["anthropic"], *plugins.COMMANDS)
IMPORTS = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_service_works_without_a_plugin(name: str, tmp_path: Path) -> None:
    if not plugins.is_available(name):
        pytest.skip("deleted in this copy")
    # 1. Copy the package and its tests.
    package, tests = tmp_path / "src" / PACKAGE.name, tmp_path / "tests"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, package, ignore=ignored)
    shutil.copytree(TESTS, tests, ignore=ignored)
    # 2. Delete the plug-in's folder, its tests, and its line.
    folder = Path(*name.split(".")[1:])
    shutil.rmtree(package / folder)
    shutil.rmtree(tests / folder)
    module = package / "plugins.py"
    lines = module.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if f'"{name}"' not in line]
    assert len(kept) == len(lines) - 1
    module.write_text("".join(kept), "utf-8")
    # 3. Nothing else names it, all modules can be imported, and server and command line work.
    for path in package.rglob("*.py"):
        assert not re.search(rf"\b{re.escape(name)}\b", path.read_text("utf-8")), path
    options = ["--import-mode=importlib", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider"]
    contract = ["-m", "pytest", "-q", "-m", "not slow", *options, str(tests / "test_contract.py")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package.parent), *sys.path])}
    for arguments in (["-c", IMPORTS, package.name], contract):
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
