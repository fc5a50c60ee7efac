"""Databases of their own for tests; the first test that needs Postgres starts a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from seedbed.testing.launch import launch_postgres, new_database


@pytest.fixture(scope="session", autouse=True)
def model_setting() -> Iterator[None]:
    """The model that is never called, whatever the default: the team then works by rules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEDBED_MODEL", "smollm2")
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    with launch_postgres() as server:
        yield server


@pytest.fixture
def new_postgres_url(postgres_server: Any) -> Callable[[], str]:
    """Creates an empty database and returns its URL."""
    return partial(new_database, postgres_server)


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.timeout(120)])]
)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """An empty database: a SQLite file in a folder that does not exist yet, or on Postgres."""
    if request.param == "sqlite":
        return tmp_path / "data" / "database.sqlite"
    new_url: Callable[[], str] = request.getfixturevalue("new_postgres_url")
    return new_url()
