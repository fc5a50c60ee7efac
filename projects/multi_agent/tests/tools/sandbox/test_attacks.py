"""Hostile programs against the sandbox: no escape, no exhausted machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from multi_agent.tools.sandbox.sandbox import MAX_OUTPUT, Sandbox

from .attacks import ATTEMPTS, BOMBS, HARNESS

SECRET = "a-secret-of-another-process"


@pytest.fixture
def targets() -> Iterator[dict[str, Any]]:
    """What an escape could reach: sockets, a file that anybody may read and write, a process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
        subprocess.Popen(
            [sys.executable, "-c", "input()"],
            stdin=subprocess.PIPE,
            env={**os.environ, "SECRET": SECRET},
        ) as victim,
    ):
        file = Path(folder, "file")
        file.write_text(SECRET)
        Path(folder).chmod(0o777)
        unix.bind(f"{folder}/socket")
        abstract.bind("\0sandbox-test")
        for path in Path(folder).iterdir():
            path.chmod(0o666)
        for server in (unix, abstract):
            server.listen()
        yield {
            "tcp": tcp.getsockname()[1],
            "unix": f"{folder}/socket",
            "abstract": "\0sandbox-test",
            "file": str(file),
            "pid": victim.pid,
        }
        assert victim.poll() is None, "the other process was killed"
        assert file.read_text() == SECRET, "the file was changed"
        victim.communicate(b"\n")


def harness(data: dict[str, Any], attempts: dict[str, str]) -> str:
    return f"data = { ({**data, 'attempts': attempts})!r}\n{HARNESS}"


def test_no_attempt_to_get_out_succeeds(sandbox: Sandbox, targets: dict[str, Any]) -> None:
    output = sandbox.run(harness(targets, ATTEMPTS), seconds=60)

    assert output.stdout == "end\n", output.stderr
    assert SECRET not in output.stderr


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_contained(name: str, sandbox: Sandbox) -> None:
    code, expected = BOMBS[name]
    seconds = 1 if "stopped" in expected else 30  # a busy machine is slow
    started = time.monotonic()
    output = sandbox.run(code, seconds=seconds)

    assert output.status in expected, output
    assert time.monotonic() - started < seconds + 5
    assert len(output.stdout) <= MAX_OUTPUT
    assert sandbox.run("1 + 1", seconds=30).stdout == "2\n", "the sandbox is still up"
