"""A running service with the real model, and an app over a fake backend."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `service_fakes` and `stub_upstream`
from service_fakes import Served, serving

from seedbed.testing.launch import free_port, run_server


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path / "data") as running:
        yield running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `llm-service serve` with the default model, as a user starts it."""
    data, port = tmp_path_factory.mktemp("service"), free_port()
    command = [sys.executable, "-m", "llm_service", "serve", "--port", str(port)]
    env = {"SERVICE_DATA_DIR": str(data), "SEEDBED_LOG_LEVEL": "WARNING"}
    with run_server(command, port, "/readyz", timeout=120, env={**os.environ, **env}):
        yield f"http://127.0.0.1:{port}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that uses `service` also waits until it has started."""
    folder = Path(__file__).parent
    for item in items:
        names = getattr(item, "fixturenames", ())
        own = item.get_closest_marker("timeout")
        if "service" in names and folder in item.path.parents and own is None:
            item.add_marker(pytest.mark.timeout(180))
