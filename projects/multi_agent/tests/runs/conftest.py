"""An empty store of runs, on SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from multi_agent.runs.store import RunStore


@pytest.fixture
def store(database_url: str | Path) -> Iterator[RunStore]:
    with closing(RunStore(database_url)) as store:
        yield store
