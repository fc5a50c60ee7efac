"""The sandboxes under attack: both kinds, each as this user and as an ordinary one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from multi_agent.tools.sandbox import Output, Sandbox, open_sandbox

NOBODY = 65534
# Where only one user exists, as in `unshare --map-root-user`, bubblewrap cannot become another one.
ONE_USER = sys.platform == "linux" and Path("/proc/self/uid_map").read_text().split()[2:] == ["1"]
needs_bwrap = pytest.mark.skipif(
    shutil.which("bwrap") is None or ONE_USER,
    reason="needs bubblewrap: apt-get install bubblewrap",
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="all tests run as an ordinary user")
KINDS = [pytest.param("wasm"), pytest.param("bwrap", marks=needs_bwrap)]
USERS = [pytest.param("self"), pytest.param("nobody", marks=[needs_root, pytest.mark.slow])]


def cache_folder(user: int) -> Path:
    """Compiled once on a machine: it takes seconds. The sandbox checks owner and hash."""
    return Path(tempfile.gettempdir(), f"multi_agent-sandbox-{user}")


class OtherUser:
    """A sandbox in a process of an ordinary user."""

    def __init__(self, kind: str) -> None:
        python = sys.executable
        try:
            subprocess.run([python, "-c", ""], user=NOBODY, check=True, cwd="/")
        except (PermissionError, subprocess.CalledProcessError):  # in a folder of root
            python = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
        if not Path(python).exists():
            pytest.skip(f"needs {python}, as other users cannot read {sys.executable}")
        self._process = subprocess.Popen(
            [python, str(Path(__file__).with_name("serve_sandbox.py")), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def run(self, code: str, **options: Any) -> Output:
        assert self._process.stdin and self._process.stdout
        print(json.dumps([code, options]), file=self._process.stdin, flush=True)
        return Output(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        with self._process:
            pass


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session", params=USERS)
def user(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def sandbox(kind: str, user: str) -> Iterator[Sandbox | OtherUser]:
    if user == "self":
        opened: Any = open_sandbox(kind, cache_folder(os.geteuid()))
    else:
        open_sandbox("wasm", cache_folder(os.geteuid()))
        target = cache_folder(NOBODY) / "sandbox"
        shutil.copytree(cache_folder(os.geteuid()) / "sandbox", target, dirs_exist_ok=True)
        for path in (target.parent, target, *target.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        opened = OtherUser(kind)
    yield opened
    opened.close()
