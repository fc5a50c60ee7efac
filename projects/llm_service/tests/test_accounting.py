"""Records of usage: in batches, through a full disk; the content that is kept."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from llm_service.config import Config
from llm_service.store import feedback, tables
from llm_service.store.accounting import MOST_CONTENT, Accounting, Record
from llm_service.store.database import Database, open_database
from seedbed.errors import Unavailable

NOW = datetime.now(UTC)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(Config(data_dir=tmp_path))


def record(n: int = 0, **more: Any) -> Record:
    return Record(f"request-{n}", f"response-{n}", **{"at": NOW, "key_id": "k", **more})


def stored(database: Database) -> list[Any]:
    with database.reading() as connection:
        return list(connection.execute(select(tables.usage).order_by(tables.usage.c.request_id)))


def spending(database: Database) -> dict[tuple[str, str], float]:
    with database.reading() as connection:
        return {
            (row.month, row.payer): row.cost_usd
            for row in connection.execute(select(tables.spending))
        }


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


async def test_records_come_back_as_they_were(database: Database) -> None:
    values: dict[str, Any] = {"int": 2**40, "float": 0.25, "float | None": 0.5, "bool": True}
    fields = {f.name: values.get(str(f.type), f"a {f.name}") for f in dataclasses.fields(Record)}
    given = Record(**{**fields, "at": datetime(2026, 1, 31, 23, 30, tzinfo=UTC).astimezone()})
    accounting = Accounting(database)
    await accounting.start()
    accounting.add(given)
    assert accounting.pending == 1
    await accounting.stop()
    (row,) = stored(database)
    assert {name: getattr(row, name) for name in fields} == dataclasses.asdict(given)
    assert row.day == "2026-01-31" and row.at.tzinfo == UTC
    assert spending(database) == {
        ("2026-01", "key:a key_id"): 0.25,
        ("2026-01", "team:a team"): 0.25,
    }
    assert accounting.pending == 0 and accounting.healthy


async def test_what_is_added_while_it_writes_is_written_too(database: Database) -> None:
    accounting = Accounting(database, window=0.01, batch=7)
    await accounting.start()
    for n in range(500):
        accounting.add(record(n, cost_usd=0.001))
        if n % 50 == 0:
            await asyncio.sleep(0.01)
    assert await asyncio.to_thread(accounting.flush, 30)
    assert len(stored(database)) == 500
    assert sum(spending(database).values()) == pytest.approx(0.5)
    await accounting.stop()


async def test_a_database_that_may_not_grow_loses_nothing(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    most = 1
    event.listen(
        database.engine,
        "checkout",
        lambda connection, *_: connection.execute(f"PRAGMA max_page_count={most}"),
    )
    accounting = Accounting(database, window=0.01, most=50)
    for n in range(60):
        accounting.add(record(n, user="u" * 200))
    await accounting.start()
    await until(lambda: not accounting.healthy)
    assert accounting.full and accounting.pending == 60
    assert "disk is full" in caplog.text and caplog.text.count("Cannot write usage") == 1
    assert accounting.failed_writes
    most = 2**31
    await until(lambda: accounting.pending == 0)
    assert accounting.healthy and not accounting.full
    await accounting.stop()
    assert len(stored(database)) == 60


class Answerless(Database):
    """Commits once without saying so, as a server does that goes away just then."""

    answers = 0

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with super().writing() as connection:
            yield connection
        self.answers += 1
        if self.answers == 1:
            raise Unavailable("The server closed the connection.")


async def test_a_commit_whose_answer_was_lost_is_not_written_twice(database: Database) -> None:
    answerless = Answerless(database.engine, database.data_dir)
    accounting = Accounting(answerless, window=0.01, keep_content="all")
    for n in range(3):
        accounting.add(record(n, cost_usd=1.0))
    await accounting.start()
    await until(lambda: accounting.pending == 0)
    await accounting.stop()
    assert answerless.answers == 2
    assert len(stored(database)) == 3
    assert spending(database)[f"{NOW:%Y-%m}", "key:k"] == 3.0


async def test_a_record_that_no_database_takes_does_not_hold_up_the_others(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    accounting = Accounting(database, window=0.01)
    for n in range(5):
        accounting.add(record(n, cost_usd=1.0))
    accounting.add(record(5, prompt_tokens=2**70))
    accounting.add(record(6, user="a\0b\ud800", messages='["\ud800"]', answer="\0"))
    accounting.add(record(7, at=None))
    await accounting.start()
    await until(lambda: accounting.pending == 0)
    await accounting.stop()
    rows = stored(database)
    assert [row.request_id for row in rows] == [f"request-{n}" for n in (0, 1, 2, 3, 4, 6)]
    assert rows[-1].user == "a\ufffdb?"
    assert accounting.healthy
    assert caplog.text.count("Cannot store a usage record") == 2
    assert spending(database)[f"{NOW:%Y-%m}", "key:k"] == 5.0


@pytest.mark.parametrize(
    ("keep", "kept"),
    [("none", []), ("rated", [1, 3]), ("all", [1, 2, 3])],
)
async def test_content_is_kept_as_the_setting_says(
    database: Database, keep: Any, kept: list[int]
) -> None:
    before = Accounting(database, keep_content=keep)
    two_days = NOW - timedelta(days=2)
    for n, at in ((1, NOW), (2, two_days), (3, two_days)):
        before.add(record(n, at=at, messages="[]", answer="a"))
    before.add(record(4, messages="[]", answer="a" * MOST_CONTENT))
    await before.start()
    await before.stop()
    if keep != "none":
        feedback.add(database, "response-3", "up")
    after = Accounting(database, keep_content=keep)
    await after.start()  # cleans up first
    await after.stop()
    rows = {int(row.request_id[-1]): row for row in stored(database)}
    assert [n for n, row in rows.items() if row.messages is not None] == kept
    assert [n for n, row in rows.items() if row.answer is not None] == kept
