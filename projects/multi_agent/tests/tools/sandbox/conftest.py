"""The sandbox, compiled once on a machine: it takes seconds."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from multi_agent.tools.sandbox import Sandbox, open_sandbox


@pytest.fixture(scope="session")
def cache_folder() -> Path:
    return Path(tempfile.gettempdir(), f"multi_agent-sandbox-{os.geteuid()}")


@pytest.fixture(scope="session")
def sandbox(cache_folder: Path) -> Sandbox:
    return open_sandbox(cache_folder)
