"""A running service with the real model, and an app over a fake backend."""

import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `service_fakes` and `stub_upstream`
from service_fakes import Served, run_service, serving

from seedbed.testing.launch import launch_postgres


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
    with launch_postgres() as server:
        yield server


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
