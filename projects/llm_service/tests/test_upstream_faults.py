"""The router between real upstreams of which one misbehaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from stub_upstream import FAULTS, Stub

from llm_service.gateway.routing.breaker import COOL_DOWN
from llm_service.gateway.routing.router import Router
from llm_service.models.entry import ModelEntry, Route
from llm_service.models.remote.openai import OpenAIBackend
from llm_service.models.remote.upstream import open_session
from llm_service.request import Ask, Delta, Facts, Usage
from seedbed.errors import DeadlineExceeded, Unavailable

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


@dataclass
class Pair:
    """Two upstreams, `bad` and `good`, and the router before them."""

    bad: Stub
    good: Stub
    entries: dict[str, ModelEntry]
    session: aiohttp.ClientSession
    router: Router = field(init=False)

    def __post_init__(self) -> None:
        self.build()

    def build(self, clock: Callable[[], float] = time.monotonic, **bad: Any) -> None:
        """A new router; `bad` has other fields for the entry of that upstream."""
        entries = {**self.entries, "bad": self.entries["bad"].model_copy(update=bad)}
        backends = {name: OpenAIBackend(name, entries[name], self.session) for name in entries}
        self.router = Router(backends, entries, clock=clock)

    async def ask(
        self, *fallback: str, stream: bool = True, left: float = 50.0, retries: int = 0
    ) -> tuple[str, Facts]:
        route = Route(name="r", targets=("bad",), fallback=fallback, retries=retries)
        asked, facts = Ask("chat", "r", HELLO, stream=stream), Facts()
        deadline = self.router._clock() + left
        events = [event async for event in self.router.generate(route, asked, facts, deadline)]
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
                timeout=50,
            )
            for name, server in (("bad", one), ("good", two))
        }
        yield Pair(bad, good, entries, session)


SLOW = {"hang", "slow_bytes"}  # faults that only a timeout ends


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_whole_answer_comes_from_the_fallback(pair: Pair, fault: str) -> None:
    pair.bad.fault = fault
    if fault in SLOW:
        pair.build(timeout=0.2)
    text, facts = await pair.ask("good", stream=False)
    assert text == "The stub"
    assert (facts.model_used, facts.backend, facts.attempts) == ("good", "openai", 2)
    assert [replica.failures for replica in pair.router.replicas()] == [1, 0]


@pytest.mark.parametrize("fault", ["hang", "500", "429", "html"])
async def test_a_stream_that_has_not_begun_comes_from_the_fallback(pair: Pair, fault: str) -> None:
    pair.bad.fault = fault
    if fault in SLOW:
        pair.build(timeout=0.2)
    assert (await pair.ask("good"))[0] == "The stub"


@pytest.mark.parametrize("fault", ["reset", "malformed", "truncate"])
async def test_a_stream_that_has_begun_is_not_begun_anew(pair: Pair, fault: str) -> None:
    pair.bad.fault = fault
    with pytest.raises(Unavailable):
        await pair.ask("good")
    assert pair.good.requests == 0


async def test_deadline_ends_an_upstream_that_is_slow_by_the_byte(pair: Pair) -> None:
    pair.bad.fault = "slow_bytes"
    pair.build(model="m" * 1000)  # at 50 ms a byte, its first event takes 50 s
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await pair.ask(left=0.6, retries=5)
    assert time.monotonic() - began < 20
    async with asyncio.timeout(20):
        while pair.bad.open:  # and it is told to stop
            await asyncio.sleep(0.01)
    assert pair.router.replicas()[0].running == 0


async def test_one_that_recovers_is_asked_again(pair: Pair) -> None:
    pair.bad.fault = "500"
    now = 1000.0
    pair.build(clock=lambda: now)
    for _ in range(6):
        assert (await pair.ask("good"))[0] == "The stub"
    assert pair.bad.requests == 5
    pair.bad.fault = ""
    now += COOL_DOWN
    assert (await pair.ask("good"))[0] == "The stub says"


async def test_many_at_once_over_one_session(pair: Pair) -> None:
    pair.bad.between = 0.01
    found = await asyncio.gather(*(pair.ask() for _ in range(40)))
    assert {text for text, _ in found} == {"The stub says"}
    async with asyncio.timeout(30):
        while pair.bad.finished < 40:  # the stub still ends bodies that the clients have read
            await asyncio.sleep(0.01)
