"""What was used, and what was thought of it."""

from __future__ import annotations

import asyncio
import functools
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llm_service.config import Config
from llm_service.store import feedback
from llm_service.store.accounting import Accounting, Record
from llm_service.store.database import Database, open_database
from llm_service.store.usage import report
from seedbed.errors import BadInput, NotFound

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(Config(data_dir=tmp_path))


async def write(database: Database, *records: Record) -> None:
    accounting = Accounting(database, keep_content="all")
    for record in records:
        accounting.add(record)
    await accounting.start()
    try:
        assert await asyncio.to_thread(accounting.flush, 30)
    finally:
        await accounting.stop()


def record(n: int = 0, **more: Any) -> Record:
    given = {"at": NOW, "key_id": "k1", "key_name": "anna", "model": "m", "model_used": "m"}
    return Record(f"request-{n}", f"response-{n}", **{**given, **more})


async def test_usage_is_summed_by_each_group(database: Database) -> None:
    await write(
        database,
        record(prompt_tokens=2**40, completion_tokens=5, cached_tokens=3, cost_usd=1, seconds=1.0),
        record(prompt_tokens=2**40, cost_usd=0.5, seconds=3.0, model="alias"),
        record(outcome="cancelled", key_id="k2", at=NOW - timedelta(days=1)),
        record(outcome="busy", key_id="k2", model_used="", at=NOW - timedelta(days=1)),
    )
    anna, other = report(database, "key")
    counts = {"n": 2, "ok": 2, "cancelled": 0, "errors": 0, "cost_usd": 1.5}
    counts |= {"prompt_tokens": 2**41, "completion_tokens": 5, "cached_tokens": 3}
    assert anna == {
        **{"key": "anna", "key_id": "k1", "p50_seconds": 1.0, "p95_seconds": 3.0},
        **counts,
    }
    assert (other["ok"], other["cancelled"], other["errors"]) == (0, 1, 1)
    assert other["p50_seconds"] is None
    assert [(row["model"], row["n"]) for row in report(database, "model")] == [("m", 4)]
    assert [(row["day"], row["n"]) for row in report(database, "day")] == [
        ("2026-03-01", 2),
        ("2026-03-02", 2),
    ]
    assert [row["key_id"] for row in report(database, "key", since=NOW)] == ["k1"]
    assert report(database, "key", since=NOW + timedelta(seconds=1)) == []
    await write(database, record(team="red", user="ann"), record(team="red", user="ben"))
    assert [(row["team"], row["n"]) for row in report(database, "team")] == [("", 4), ("red", 2)]
    assert {row["user"] for row in report(database, "user")} == {"", "ann", "ben"}
    with pytest.raises(BadInput, match="'month'"):
        report(database, "month")  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 101])
async def test_percentiles_are_the_nearest_rank(database: Database, count: int) -> None:
    seconds = [float(n + 1) for n in range(count)]
    random.Random(count).shuffle(seconds)
    await write(database, *(record(n, seconds=s) for n, s in enumerate(seconds)))
    (row,) = report(database, "model")
    assert row["p50_seconds"] == -(-count * 50 // 100)
    assert row["p95_seconds"] == -(-count * 95 // 100)


async def test_feedback_replaces_what_was_said_before(database: Database) -> None:
    messages = [{"role": "user", "content": "Hi ü"}]
    await write(
        database,
        record(1, messages=json.dumps(messages), answer="Hello", prompt="p@1:a", model="alias"),
    )
    feedback.add(database, "response-1", "down", 0.1, "bad")
    assert list(feedback.export(database)) == []
    feedback.add(database, "response-1", "up", 1)
    (row,) = feedback.export(database)
    assert row["messages"] == [*messages, {"role": "assistant", "content": "Hello"}]
    assert (row["rating"], row["score"], row["comment"], row["correction"]) == ("up", 1.0, "", "")
    assert (row["model"], row["response_id"], row["prompt"]) == ("m", "response-1", "p@1:a")


async def test_only_rated_chats_with_content_are_exported(database: Database) -> None:
    content = {"messages": "[]", "answer": "a"}
    await write(database, *(record(n, **content) for n in range(450)), record(901))
    for n in range(1, 450):
        feedback.add(database, f"response-{n}", "down" if n % 3 == 0 else "up")
    with pytest.raises(BadInput, match="'response-901' was not kept, so it cannot be rated"):
        feedback.add(database, "response-901", "up")
    up, every = list(feedback.export(database)), list(feedback.export(database, None))
    assert (len(up), len(every)) == (300, 449)


@pytest.mark.parametrize("wrong", [{}, {"comment": "a\0b"}, {"comment": "a" * 4001}])
async def test_wrong_feedback_is_refused(database: Database, wrong: dict[str, Any]) -> None:
    await write(database, record(1))
    with pytest.raises(BadInput):
        feedback.add(database, **{"response_id": "response-1", **wrong})


async def test_feedback_needs_an_answer_of_one_s_own(database: Database) -> None:
    await write(database, record(1, answer="a"), Record("request-2", "", NOW, "k1"))
    for response_id in ("response-9", ""):
        with pytest.raises(NotFound):
            feedback.add(database, response_id, "up")
    with pytest.raises(NotFound):
        feedback.add(database, "response-1", "up", key_id="k2")
    feedback.add(database, "response-1", "up", key_id="k1")


async def test_feedback_finds_an_answer_not_written_yet(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounting = Accounting(database, window=600)
    # Feedback waits 2 s for the write: too little where other tests have both cores.
    monkeypatch.setattr(accounting, "flush", functools.partial(accounting.flush, 30))
    await accounting.start()
    try:
        accounting.add(record(1, messages="[]", answer="a"))
        with pytest.raises(NotFound):
            feedback.add(database, "response-1", "up")
        await asyncio.to_thread(feedback.add, database, "response-1", "up", accounting=accounting)
        assert len(list(feedback.export(database))) == 1
    finally:
        await accounting.stop()
