"""Rights, limits a minute, requests at a time, budgets: in memory, in Redis, with broken clocks."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llm_service.config import Config
from llm_service.gateway.limits.admission import Admission, OverBudget, Ticket
from llm_service.gateway.limits.rates import Rates
from llm_service.store.accounting import Accounting, Record
from llm_service.store.database import Database, open_database
from llm_service.store.keys import LOCAL, Key
from seedbed.errors import Busy, ConfigError, Forbidden, MissingExtra, TooLarge


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(Config(data_dir=tmp_path))


@pytest.fixture
def minute(monkeypatch: pytest.MonkeyPatch) -> float:
    """The middle of a minute and of a month, at which limits see time stand still."""
    now = 1_700_000_010.0
    monkeypatch.setattr(time, "time", lambda: now)
    return now


@pytest.fixture
def admission(database: Database, minute: float) -> Admission:
    return Admission(database, clock=Clock(datetime.fromtimestamp(minute, UTC)))


async def enter(admission: Admission, key: Key, tokens: int = 1, cost: float = 0.0) -> Ticket:
    return await admission.enter(key, "m", prompt_tokens=tokens, cost_usd=cost)


class Clock:
    """A wall clock that a test sets."""

    def __init__(self, now: datetime) -> None:
        self.now = now.timestamp()

    def __call__(self) -> float:
        return self.now


async def test_models_and_scopes_are_kept(admission: Admission) -> None:
    key, chat = Key("k", "anna", models=("a", "b")), Key("k", "anna", scopes=frozenset({"chat"}))
    with pytest.raises(Forbidden, match=r"'anna'.*'m'.*a, b"):
        await enter(admission, key)
    await admission.enter(key, "a", prompt_tokens=1, cost_usd=0)
    with pytest.raises(Forbidden, match="'embeddings'"):
        await admission.enter(chat, "a", prompt_tokens=1, cost_usd=0, scope="embeddings")
    await admission.enter(LOCAL, "m", prompt_tokens=10**9, cost_usd=1e9, scope="admin")


async def test_requests_a_minute(admission: Admission) -> None:
    key, other = Key("k", "anna", rpm=3), Key("o", "ben", rpm=3)
    left = [(await enter(admission, key)).headers for _ in range(3)]
    assert left[0] == {
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "2",
    }
    assert [h["x-ratelimit-remaining-requests"] for h in left] == ["2", "1", "0"]
    with pytest.raises(Busy, match=r"key 'anna': 3 of 3 requests this minute") as error:
        await enter(admission, key)
    assert error.value.details == {"code": "rate_limit_exceeded", "limit": "requests"}
    assert 0 < (error.value.retry_after or 0) <= 120
    await enter(admission, other)


async def test_tokens_a_minute_are_taken_at_once_and_at_the_end(admission: Admission) -> None:
    key = Key("k", "anna", tpm=100)
    with pytest.raises(TooLarge, match="101"):
        await enter(admission, key, 101)
    ticket = await enter(admission, key, 60)
    assert ticket.headers["x-ratelimit-remaining-tokens"] == "40"
    with pytest.raises(Busy):
        await enter(admission, key, 41)
    ticket.settle(50, 40, 0)  # 30 more than was taken
    ticket.settle(50, 40, 0)
    await asyncio.wait(admission._charges)
    assert (await enter(admission, key, 1)).headers["x-ratelimit-remaining-tokens"] == "9"
    (await enter(admission, key, 1)).settle(1, 1000, 0)
    await asyncio.wait(admission._charges)
    with pytest.raises(Busy):
        await enter(admission, key, 1)


async def test_requests_at_a_time(admission: Admission) -> None:
    key = Key("k", "anna", concurrency=2)
    first, second = await enter(admission, key), await enter(admission, key)
    with pytest.raises(Busy, match="2 of 2 requests are running"):
        await enter(admission, key)
    first.settle(1, 1, 0)
    first.close()
    third = await enter(admission, key)
    with pytest.raises(Busy):
        await enter(admission, key)
    second.close()
    third.close()
    assert not admission.running


async def test_refused_and_cancelled_requests_reserve_nothing(admission: Admission) -> None:
    key = Key("k", "anna", rpm=1, concurrency=5, budget_usd=1.0)
    (await enter(admission, key, cost=0.5)).close()
    for _ in range(3):
        with pytest.raises(Busy):
            await enter(admission, key, cost=0.5)
    task = asyncio.create_task(enter(admission, key, cost=0.5))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not admission.running
    (await enter(admission, Key("k", "anna", budget_usd=1.0), cost=1.0)).close()


async def test_a_budget_is_reserved_settled_and_given_back(admission: Admission) -> None:
    key = Key("k", "anna", budget_usd=0.3)
    for _ in range(3):  # 0.1 + 0.1 + 0.1 > 0.3 in floats
        (await enter(admission, key, cost=0.1)).settle(1, 1, 0.1)
    with pytest.raises(OverBudget, match=r"\$0\.3000 of \$0\.3000 used") as error:
        await enter(admission, key, cost=0.0001)
    assert (error.value.status, error.value.details) == (429, {"code": "insufficient_quota"})
    assert error.value.retry_after is None
    with pytest.raises(OverBudget):  # nothing, not even what is free
        await enter(admission, key, cost=0.0)
    other = Key("o", "ben", budget_usd=1.0)
    dear = await enter(admission, other, cost=0.9)
    with pytest.raises(OverBudget):
        await enter(admission, other, cost=0.2)
    dear.settle(1, 1, 0.1)
    await enter(admission, other, cost=0.9)


async def test_what_was_spent_is_known_after_a_restart_and_in_other_processes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_service.gateway.limits.budgets._REREAD_SECONDS", 0.05)
    now = datetime(2026, 1, 15, tzinfo=UTC)
    key = Key("a", "anna", team="x", team_budget_usd=1.0)
    admission, other = (Admission(database, clock=Clock(now)) for _ in range(2))
    accounting = Accounting(database, window=0.01)
    await accounting.start()
    (await enter(admission, key, cost=0.7)).settle(1, 1, 0.7)
    accounting.add(Record("r", "x", now, "a", team="x", cost_usd=0.7))
    await accounting.stop()
    restarted = Admission(database, clock=Clock(now))
    with pytest.raises(OverBudget):
        await enter(restarted, Key("b", "ben", team="x", team_budget_usd=1.0), cost=0.4)
    with pytest.raises(OverBudget):
        async with asyncio.timeout(30):
            while True:
                (await enter(other, key, cost=0.4)).close()
                await asyncio.sleep(0.01)
    await admission.budgets._reread()
    (await enter(admission, key, cost=0.3)).settle(1, 1, 0.3)  # read again, not counted twice


async def test_a_budget_is_renewed_with_the_month_and_never_before(database: Database) -> None:
    clock = Clock(datetime(2026, 1, 31, 23, 59, tzinfo=UTC))
    admission = Admission(database, clock=clock)
    key = Key("k", "anna", budget_usd=1.0)

    async def spent() -> bool:
        try:
            (await enter(admission, key, cost=1.0)).close()
        except OverBudget:
            return True
        return False

    (await enter(admission, key, cost=1.0)).settle(1, 1, 1.0)
    clock.now -= 40 * 86400  # back into the year before
    assert await spent()
    clock.now += 40 * 86400
    assert await spent()
    clock.now += 60
    assert not await spent(), "February has come"
    (await enter(admission, key, cost=1.0)).settle(1, 1, 1.0)
    clock.now -= 3600
    assert await spent(), "back in January, February's budget stays spent"
    clock.now += 27 * 86400
    assert await spent()
    clock.now += 2 * 86400
    assert not await spent(), "March has come"


async def test_redis_is_shared_by_processes(
    database: Database, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests may have both cores.
    monkeypatch.setattr("llm_service.gateway.limits.rates._PATIENCE", 20)
    first, second = Admission(database, redis_url), Admission(database, redis_url)
    key = Key("k", "anna", rpm=3, tpm=100)
    await enter(first, key, 10)
    (await enter(second, key, 10)).settle(10, 20, 0)
    await asyncio.wait(second._charges)
    headers = (await enter(first, key, 10)).headers
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["x-ratelimit-remaining-tokens"] == "50"
    with pytest.raises(Busy) as error:
        await enter(second, key, 10)
    assert 0 < (error.value.retry_after or 0) <= 60
    await first.close()
    await second.close()


async def test_redis_that_hangs_delays_one_request_and_limits_none(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("redis")
    monkeypatch.setattr("llm_service.gateway.limits.rates._AWAY_SECONDS", 60)  # in place of one
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://:secret@127.0.0.1:{silent.getsockname()[1]}/0"
        admission = Admission(database, url)
        key = Key("k", "anna", rpm=2)
        started = time.perf_counter()
        await enter(admission, key)
        assert 0.2 < time.perf_counter() - started < 20
        for _ in range(10):
            await enter(admission, key)
    assert caplog.text.count("Redis is unavailable") == 1, "it is left alone for a while"
    assert "secret" not in caplog.text


@pytest.mark.parametrize("url", ["http://x", "redis://h:port/0", "redis://"])
def test_a_wrong_url_of_redis_is_said(url: str) -> None:
    pytest.importorskip("redis")
    with pytest.raises(ConfigError, match="SERVICE_REDIS_URL"):
        Rates(url)


def test_a_missing_redis_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio.retry", None)
    with pytest.raises(MissingExtra, match=r"pip install 'llm-service\[redis\]'"):
        Rates("redis://127.0.0.1")
