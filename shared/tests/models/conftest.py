"""Fixtures for weights: a cache of the test's own, and processes that are killed at its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seedbed.settings import Settings

StartPython = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache")


@pytest.fixture
def start_python(settings: Settings) -> Iterator[StartPython]:
    """Starts Python with arguments, with the test's cache and further environment variables."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=os.environ | {"SEEDBED_CACHE_DIR": str(settings.cache_dir)} | variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()
