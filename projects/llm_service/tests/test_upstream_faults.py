"""The router between real upstreams of which one misbehaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp.test_utils import TestServer

from llm_service.ask import Ask, Delta, Facts, Usage
from llm_service.backends.openai import OpenAIBackend
from llm_service.backends.upstream import open_session
from llm_service.entries import ModelEntry, Route
from llm_service.routing import Router
from llm_service.stub import FAULTS, Stub
from seedbed.errors import DeadlineExceeded, Unavailable

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


@dataclass
class Pair:
    """Two upstreams, `bad` and `good`, and the router before them."""

    bad: Stub
    good: Stub
    router: Router

    async def ask(
        self, *fallback: str, stream: bool = True, left: float = 10.0, retries: int = 0
    ) -> tuple[str, Facts]:
        route = Route(name="r", targets=("bad",), fallback=fallback, retries=retries)
        asked, facts = Ask("chat", "r", HELLO, stream=stream), Facts()
        events = [
            event
            async for event in self.router.generate(route, asked, facts, time.monotonic() + left)
        ]
        assert isinstance(events[-1], Usage)
        return "".join(e.text for e in events if isinstance(e, Delta)), facts


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    bad, good = Stub(tokens=3), Stub(tokens=2)
    async with (
        TestServer(bad.app()) as one,
        TestServer(good.app()) as two,
        open_session() as session,
    ):
        entries = {
            name: ModelEntry(
                name=name,
                backend="openai",
                base_url=str(server.make_url("/v1")),
                timeout=1.0,
            )
            for name, server in (("bad", one), ("good", two))
        }
        backends = {name: OpenAIBackend(name, entries[name], session) for name in entries}
        yield Pair(bad, good, Router(backends, entries))


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_whole_answer_comes_from_the_fallback(pair: Pair, fault: str) -> None:
    pair.bad.fault = fault
    text, facts = await pair.ask("good", stream=False)
    assert text == "The stub"
    assert (facts.model_used, facts.backend, facts.attempts) == ("good", "openai", 2)
    assert [row["failures"] for row in pair.router.states()] == [1, 0]


@pytest.mark.parametrize("fault", ["hang", "500", "429", "html"])
async def test_a_stream_that_has_not_begun_comes_from_the_fallback(pair: Pair, fault: str) -> None:
    pair.bad.fault = fault
    assert (await pair.ask("good"))[0] == "The stub"


@pytest.mark.parametrize("fault", ["reset", "malformed", "truncate"])
async def test_a_stream_that_has_begun_is_not_begun_anew(pair: Pair, fault: str) -> None:
    pair.bad.fault = fault
    with pytest.raises(Unavailable):
        await pair.ask("good")
    assert pair.good.requests == 0


async def test_an_upstream_that_is_slow_by_the_byte_meets_the_deadline(pair: Pair) -> None:
    pair.bad.fault = "slow_bytes"
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await pair.ask(left=0.6, retries=5)
    assert time.monotonic() - began < 1.0
    async with asyncio.timeout(1):
        while pair.bad.open:  # and it is told to stop
            await asyncio.sleep(0.01)
    assert pair.router.states()[0]["running"] == 0


async def test_one_that_recovers_is_asked_again(pair: Pair) -> None:
    pair.bad.fault = "500"
    for _ in range(6):
        assert (await pair.ask("good"))[0] == "The stub"
    assert pair.bad.requests == 5
    pair.bad.fault = ""
    await asyncio.sleep(1.05)
    assert (await pair.ask("good"))[0] == "The stub says"


async def test_many_at_once_over_one_session(pair: Pair) -> None:
    pair.bad.between = 0.01
    found = await asyncio.gather(*(pair.ask() for _ in range(40)))
    assert {text for text, _ in found} == {"The stub says"}
    assert pair.bad.finished == 40
