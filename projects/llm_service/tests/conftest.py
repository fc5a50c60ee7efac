"""A running service with the real model, and an app over a fake backend."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

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
