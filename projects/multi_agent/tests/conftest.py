"""Databases of their own for tests; the first test that needs Postgres starts a real server."""

from __future__ import annotations

import json
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


class ModelReplies:
    """Replies of a model to the prompts of a brain, with the fields that are mostly empty.

    replies.plan(("analyst", "How many orders?"), ("writer", "Write about {s1}"), first=1)
    """

    @staticmethod
    def plan(*steps: tuple[str, str], first: int = 1) -> str:
        named = [
            {"id": f"s{number}", "specialist": specialist, "task": task}
            for number, (specialist, task) in enumerate(steps, first)
        ]
        return ModelReplies.reply(steps=named)

    @staticmethod
    def query(sql: str, reading: str = "") -> str:
        return ModelReplies.reply(reading=reading, sql=sql)

    @staticmethod
    def quote(answer: str, quote: str) -> str:
        return ModelReplies.reply(quote=quote, answer=answer)

    @staticmethod
    def expression(text: str, unit: str = "") -> str:
        return ModelReplies.reply(expression=text, unit=unit)

    @staticmethod
    def reply(**fields: Any) -> str:
        return json.dumps({"refusal": "", "question": "", "options": [], **fields})


@pytest.fixture(scope="session")
def replies() -> type[ModelReplies]:
    return ModelReplies


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
