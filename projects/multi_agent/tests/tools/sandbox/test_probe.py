"""A sandbox with a hole is refused, and the error names the hole."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from multi_agent.tools.sandbox import bwrap, probe
from multi_agent.tools.sandbox.bwrap import bwrap_command
from multi_agent.tools.sandbox.sandbox import Sandbox
from seedbed.errors import ConfigError

from .conftest import needs_bwrap

BOOTSTRAP = Path(bwrap.__file__).with_name("bootstrap.py").read_text()
PYTHON = [sys.executable, "-I", "-S", "-c", BOOTSTRAP]


def test_unprotected_python_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        probe(Sandbox("bwrap", lambda *_: PYTHON))

    assert error.value.message == (
        "The sandbox 'bwrap' lets programs start processes, open sockets, read files, write files,"
        " exceed the memory limit."
    )
    assert "AGENTS_SANDBOX=wasm" in error.value.hint


def test_limit_of_memory_alone_is_refused() -> None:
    limited = "import resource as r; r.setrlimit(r.RLIMIT_DATA, (1 << 28, 1 << 28))\n" + BOOTSTRAP

    with pytest.raises(ConfigError, match="start processes, open sockets, read files, write files"):
        probe(Sandbox("bwrap", lambda *_: [sys.executable, "-c", limited]))


@needs_bwrap
def test_bwrap_with_a_folder_too_many_is_refused() -> None:
    command, folder = bwrap_command()(10, 256), tempfile.gettempdir()
    at = command.index("--remount-ro")
    leaky = [*command[:at], "--bind", folder, folder, *command[at:]]

    with pytest.raises(ConfigError, match="lets programs read files, write files"):
        probe(Sandbox("bwrap", lambda *_: leaky))


@needs_bwrap
def test_bwrap_without_network_namespace_is_held_by_seccomp() -> None:
    command = [part for part in bwrap_command()(10, 256) if part != "--unshare-net"]

    assert probe(Sandbox("bwrap", lambda *_: command)) is None


def test_sandbox_that_cannot_start_is_refused_with_its_reason() -> None:
    refusal = ["sh", "-c", "echo bwrap: No permissions to create a new namespace >&2; exit 1"]

    with pytest.raises(ConfigError, match=r"cannot run programs: bwrap: No permissions .* Allow"):
        probe(Sandbox("bwrap", lambda *_: refusal))


def test_missing_bubblewrap_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ConfigError, match=r"needs bubblewrap.*apt-get install bubblewrap"):
        bwrap_command()
