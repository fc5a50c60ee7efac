"""The sandbox, compiled once on a machine: it takes seconds."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from multi_agent.tools.sandbox.sandbox import Sandbox


@pytest.fixture(scope="session")
def cache_folder() -> Path:
    return Path(tempfile.gettempdir(), f"multi_agent-sandbox-{os.geteuid()}")


@pytest.fixture(scope="session")
def sandbox(cache_folder: Path) -> Sandbox:
    sandbox = Sandbox(cache_folder)
    sandbox.run("1")
    return sandbox
