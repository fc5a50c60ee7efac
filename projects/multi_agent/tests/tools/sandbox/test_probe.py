"""A sandbox with a hole is refused, and the error names the hole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from multi_agent.tools import sandbox as package
from multi_agent.tools.sandbox.probe import probe
from multi_agent.tools.sandbox.sandbox import Sandbox
from seedbed.errors import ConfigError

BOOTSTRAP = Path(package.__file__).with_name("bootstrap.py").read_text()


def test_unprotected_python_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        probe(Sandbox([sys.executable, "-I", "-S", "-c", BOOTSTRAP]))

    assert error.value.message == (
        "The sandbox lets programs start processes, open sockets, read files, write files,"
        " exceed the memory limit."
    )


def test_limit_of_memory_alone_is_refused() -> None:
    limited = "import resource as r; r.setrlimit(r.RLIMIT_DATA, (1 << 28, 1 << 28))\n" + BOOTSTRAP

    with pytest.raises(ConfigError, match="start processes, open sockets, read files, write files"):
        probe(Sandbox([sys.executable, "-c", limited]))


def test_sandbox_that_cannot_start_is_refused_with_its_reason() -> None:
    with pytest.raises(ConfigError, match="cannot run programs: no such interpreter"):
        probe(Sandbox(["sh", "-c", "echo no such interpreter >&2; exit 1"]))
