"""The router, with backends that do as they are told and a clock that the test moves."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from llm_service.gateway.routing.router import Router
from llm_service.models.entry import ModelEntry, Route, Target
from llm_service.request import Ask, Delta, Embedded, Event, Facts, Finish, Load, Usage
from seedbed.errors import BadInput, Busy, DeadlineExceeded, Unavailable, WeightsError

HELLO = Ask("chat", "m", {"messages": [{"role": "user", "content": "hello"}]})
LONG = Ask("chat", "m", {"messages": [{"role": "user", "content": "the rules " * 100}]})


class Fake:
    """Says its name after `delay`; raises what `fails` holds, one a request; `breaks` midway."""

    def __init__(self, name: str, *fails: BaseException | None, delay: float = 0.0) -> None:
        self.name = name
        self.load = Load()
        self.fails = list(fails)
        self.always: BaseException | None = None
        self.breaks: BaseException | None = None
        self.delay = delay
        self.between = 0.0
        self.asked = 0
        self.closed = 0

    async def generate(self, _: Ask) -> AsyncIterator[Event]:
        self.asked += 1
        try:
            await asyncio.sleep(self.delay)
            error = self.always or (self.fails.pop(0) if self.fails else None)
            if error is not None:
                raise error
            yield Delta(self.name)
            if self.breaks:
                raise self.breaks
            await asyncio.sleep(self.between)
            yield Finish("stop")
            yield Usage(1, 1)
        finally:
            self.closed += 1

    async def embed(self, _: Ask) -> Embedded:
        self.asked += 1
        if self.fails:
            raise self.fails.pop(0) or AssertionError
        return Embedded([[1.0]], 1)


class Clock:
    """Time that passes only while the router sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., Router]:
    def build(*backends: Fake, timeout: float = 60.0, **more: Any) -> Router:
        by_name = {backend.name: backend for backend in backends}
        models = {name: ModelEntry(name=name, backend="local", timeout=timeout) for name in by_name}
        more = {"clock": clock, "sleep": clock.sleep, "rng": random.Random(1), **more}
        return Router(by_name, models, **more)

    return build


def route(*targets: str, **more: Any) -> Route:
    return Route(name="r", targets=targets, **more)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def ask(
    router: Router, route: Route, facts: Facts | None = None, left: float = 30.0, asked: Ask = HELLO
) -> str:
    deadline = router._clock() + left
    facts = facts if facts is not None else Facts()
    events = [event async for event in router.generate(route, asked, facts, deadline)]
    assert events[-2:] == [Finish("stop"), Usage(1, 1)]
    return events[0].text


async def test_facts_waited_is_the_time_to_the_first_event(make: Any, clock: Clock) -> None:
    facts = Facts()
    stream = make(Fake("a", late(2.5))).generate(route("a"), HELLO, facts, clock.now + 30)
    await anext(stream)
    clock.now += 4.0
    assert [event async for event in stream] == [Finish("stop"), Usage(1, 1)]
    assert facts.waited == 2.5


def late(seconds: float) -> Unavailable:
    error = Unavailable("later")
    error.retry_after = seconds
    return error


DOWN = Unavailable("down")
OUTCOMES = {
    "other target at once": ([DOWN], {"targets": ("a", "b")}, "b", 1, 0),
    "same target after pauses": ([DOWN, DeadlineExceeded("2"), DOWN], {"retries": 3}, "a", 4, 3),
    "tries run out": ([DOWN] * 3, {"retries": 1}, Unavailable, 2, 1),
    "Retry-After is kept": ([late(3.0)], {}, "a", 2, 1),
    "fallback in place of a long wait": ([late(60.0)], {"fallback": ("b",)}, "b", 1, 0),
    "fallbacks in order": ([DOWN], {"fallback": ("down", "b"), "retries": 0}, "b", 1, 0),
    "full": ([Busy("full", retry_after=7)], {}, Busy, 1, 0),
    "full, with a fallback": ([Busy("full")], {"fallback": ("b",)}, "b", 1, 0),
    "no weights": ([WeightsError("no file")], {"fallback": ("b",)}, "b", 1, 0),
    "mistake of the client": ([BadInput("no")], {"fallback": ("b",)}, BadInput, 1, 0),
    "bug": ([RuntimeError("bug")], {"fallback": ("b",)}, RuntimeError, 1, 0),
}


@pytest.mark.parametrize("name", OUTCOMES)
async def test_who_is_asked_after_a_failure(make: Any, clock: Clock, name: str) -> None:
    fails, fields, expected, asked, pauses = OUTCOMES[name]
    a, b, down = Fake("a", *fails), Fake("b"), Fake("down", DOWN)
    a.load.running = -1  # the least busy: asked first
    way = Route(name="r", **{"targets": ("a",), **fields})
    router = make(a, b, down)
    if isinstance(expected, str):
        assert await ask(router, way, left=1000) == expected
    else:
        with pytest.raises(expected) as caught:
            await ask(router, way)
        assert (False in router.replicas()[0].breaker._last) == (expected is Unavailable)
        assert str(caught.value) == str(fails[asked - 1])
        assert b.asked == 0
    assert (a.asked, len(clock.slept)) == (asked, pauses)
    for n, slept in enumerate(clock.slept):
        wait = fails[n].retry_after
        assert slept == wait if wait else slept <= 0.2 * 2**n


async def test_after_the_first_event_nothing_is_begun_anew(make: Any) -> None:
    a, b = Fake("a"), Fake("b")
    a.breaks = Unavailable("cut")
    router = make(a, b)
    for _ in range(5):
        with pytest.raises(Unavailable, match="cut"):
            await ask(router, route("a", fallback=("b",)))
    assert b.asked == 0
    assert router.replicas()[0].breaker.state == "open"  # and yet it counts
    assert await ask(router, route("a", fallback=("b",))) == "b"


async def test_an_attempt_that_hangs_is_given_up(make: Any) -> None:
    a, b = Fake("a", delay=60), Fake("b")
    router = make(a, b, timeout=0.05)
    assert await ask(router, route("a", fallback=("b",), retries=0)) == "b"
    assert a.closed == 1
    with pytest.raises(DeadlineExceeded, match=r"a: no response within 0\.05 s"):
        await ask(router, route("a", retries=0))


async def test_fallback_has_time_left_where_a_target_hangs(make: Any) -> None:
    """The timeout of `hung` is beyond the deadline, as a local model's is by default."""
    hung, retried, good = Fake("a", delay=600), Fake("b", delay=600), Fake("c")
    router = make(hung, retried, good, timeout=600, clock=time.monotonic)
    way = route("a", "b", fallback=("c",), retries=1)
    assert await ask(router, way, left=0.4) == "c"
    assert hung.asked + retried.asked == 2
    assert not router.replicas()[0].breaker._last  # such a short time shows nothing


async def test_last_target_has_all_the_time_left(make: Any) -> None:
    with pytest.raises(DeadlineExceeded):
        await ask(make(Fake("a", delay=600), clock=time.monotonic), route("a"), left=0.2)
    slow = Fake("b", delay=0.2)
    assert await ask(make(slow, clock=time.monotonic), route("b", retries=0), left=0.35) == "b"


async def test_deadline_ends_all_tries_and_the_stream(make: Any) -> None:
    began = time.monotonic()
    router = make(Fake("a", delay=60), clock=time.monotonic)
    with pytest.raises(DeadlineExceeded):
        await ask(router, route("a", retries=9), left=0.1)
    slow = Fake("b")
    slow.between = 60
    begun = make(slow)
    with pytest.raises(DeadlineExceeded, match="before the deadline"):
        await ask(begun, route("b"), left=0.1)
    assert slow.closed == 1
    assert False not in begun.replicas()[0].breaker._last  # a long answer shows nothing
    assert time.monotonic() - began < 30  # either would take 60 s


async def test_an_open_breaker_is_passed_by_and_probed_later(make: Any, clock: Clock) -> None:
    a, b = Fake("a", *[Unavailable("down")] * 5), Fake("b")
    router = make(a, b)
    way = route("a", fallback=("b",), retries=0)
    for _ in range(8):
        assert await ask(router, way) == "b"
    assert a.asked == 5
    clock.now += 1.0
    assert await ask(router, way) == "a"
    assert router.replicas()[0].breaker.state == "closed"


async def test_where_all_are_open_the_error_names_them_and_when(make: Any) -> None:
    a, b = Fake("a"), Fake("b")
    a.always = b.always = Unavailable("down")
    router = make(a, b)
    way = route("a", fallback=("b",), retries=0)
    for _ in range(5):
        with pytest.raises(Unavailable, match="down"):
            await ask(router, way)
    with pytest.raises(Unavailable, match="Circuit open for a, b") as caught:
        await ask(router, way)
    assert caught.value.retry_after == 1.0
    assert a.asked == 5


async def test_a_cancelled_probe_is_no_outcome(make: Any, clock: Clock) -> None:
    a = Fake("a", *[Unavailable("down")] * 5)
    router = make(a)
    for _ in range(5):
        with pytest.raises(Unavailable):
            await ask(router, route("a", retries=0))
    clock.now += 1.0
    a.delay = 60
    task = asyncio.ensure_future(ask(router, route("a")))
    await until(lambda: a.asked == 6)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    a.delay = 0
    assert router.replicas()[0].running == 0
    assert await ask(router, route("a")) == "a"


async def test_weights_are_kept(make: Any) -> None:
    router = make(Fake("a"), Fake("b"))
    way = Route(name="r", targets=(Target(model="a", weight=3), Target(model="b")))
    seen = Counter([await ask(router, way, asked=LONG) for _ in range(400)])
    assert 260 < seen["a"] < 340


async def test_a_prompt_goes_where_its_beginning_was_read(make: Any) -> None:
    a, b = Fake("a"), Fake("b")
    router = make(a, b)
    first = await ask(router, route("a", "b"), asked=LONG)
    for _ in range(10):
        assert await ask(router, route("a", "b"), asked=LONG) == first
    loaded = a if first == "a" else b
    loaded.load.waiting = 9
    assert await ask(router, route("a", "b"), asked=LONG) != first


async def test_a_reload_keeps_what_is_known_of_the_same_backends(make: Any) -> None:
    a = Fake("a")
    a.always = Unavailable("down")
    router = make(a)
    for _ in range(5):
        with pytest.raises(Unavailable):
            await ask(router, route("a", retries=0))
    assert make(a, previous=router).replicas()[0].breaker.state == "open"
    assert make(Fake("a"), previous=router).replicas()[0].breaker.state == "closed"


async def test_embeddings_are_tried_again_as_well(make: Any) -> None:
    a, b = Fake("a", Unavailable("down")), Fake("b")
    router, facts = make(a, b), Facts()
    asked = Ask("embedding", "m", {"input": "x"})
    way = route("a", fallback=("b",), retries=0)
    found = await router.embed(way, asked, facts, router._clock() + 5)
    assert found.vectors == [[1.0]]
    assert (facts.model_used, facts.backend, facts.attempts) == ("b", "local", 2)
    assert [replica.running for replica in router.replicas()] == [0, 0]
