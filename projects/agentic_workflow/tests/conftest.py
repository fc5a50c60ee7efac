"""A real Postgres for the tests of this project, started by the first test that needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from seedbed.testing.launch import launch_postgres, new_database


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    with launch_postgres() as server:
        yield server


@pytest.fixture
def new_postgres_url(postgres_server: Any) -> Callable[[], str]:
    """Creates an empty database and returns its URL."""
    return partial(new_database, postgres_server)
