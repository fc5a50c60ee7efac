"""Checks of exercise 3: equal requests, kept answers, readers that come and go."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable

from llm_service.gateway.cache.answer_cache import AnswerCache
from llm_service.request import Ask, Delta, Event, Facts, Finish, Usage

ASK = Ask("chat", "m", {"messages": [{"role": "user", "content": "hi"}], "temperature": 0})
EVENTS = [Delta("one "), Delta("two "), Delta("three"), Finish("stop"), Usage(1, 3)]
TEXT = "one two three"


class Source:
    """A run that yields `EVENTS`: the first at once, the others when `proceed` is set.

    It writes who answers to the facts of its first reader, as the router does. With `error` it
    fails before any event, when `proceed` is set.
    """

    facts: Facts | None = None

    def __init__(self, *, wait: bool = False, error: ValueError | None = None) -> None:
        self.error = error
        self.proceed = asyncio.Event()
        if not wait:
            self.proceed.set()
        self.starts = 0
        self.running = False

    async def __call__(self) -> AsyncIterator[Event]:
        self.starts += 1
        self.running = True
        if self.facts is not None:
            self.facts.model_used, self.facts.backend = "m1", "local"
        try:
            if self.error is not None:
                await self.proceed.wait()
                raise self.error
            for event in EVENTS:
                yield event
                await self.proceed.wait()
        finally:
            self.running = False


class Reader:
    """A request in a task of its own: what it got, and the facts at its first event and now."""

    def __init__(
        self, cache: AnswerCache, source: Source, *, scope: str = "a", lookup: bool = True
    ) -> None:
        self.facts = Facts()
        source.facts = source.facts or self.facts
        self.events: list[Event] = []
        self.first_facts = ""
        self.trace: list[str] = []
        self.stream = cache.answer(ASK, scope, source, self.facts, lookup=lookup)
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for event in self.stream:
                self.first_facts = self.first_facts or self.credit
                self.events.append(event)
        except ValueError as error:
            self.trace = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            raise

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def credit(self) -> str:
        return f"{self.facts.cache} {self.facts.model_used} {self.facts.backend}"


async def read(
    cache: AnswerCache, source: Source, *, scope: str = "a", lookup: bool = True
) -> Reader:
    reader = Reader(cache, source, scope=scope, lookup=lookup)
    await reader.task
    return reader


async def settle(*readers: Reader) -> None:
    """Let all tasks run until they wait; raises the error of a reader that failed."""
    for _ in range(100):
        await asyncio.sleep(0)
    for reader in readers:
        if reader.task.done():
            reader.task.result()


async def finish(source: Source, *readers: Reader) -> list[str]:
    """Let the run proceed to its end; returns each reader's error, or "" if it had none."""
    source.proceed.set()
    results = await asyncio.gather(*(r.task for r in readers), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, ValueError):
            raise result
    return ["" if result is None else repr(result) for result in results]


def run(steps: Callable[[AnswerCache], Awaitable[None]], shared: bool = False) -> None:
    async def main() -> None:
        cache = AnswerCache(1, 60, shared)
        try:
            async with asyncio.timeout(5):
                await steps(cache)
                await cache.close()
        except TimeoutError:
            raise AssertionError(
                "expected all readers to end, got none within 5 s: what does a reader wait for?"
            ) from None

    asyncio.run(main())


def expect(actual: object, expected: object, what: str) -> None:
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def check_1_each_scope_has_its_own_answers() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source()
        await read(cache, source, scope="a")
        await read(cache, source, scope="b")
        expect(source.starts, 2, "two scopes: number of runs")

    run(steps)


def check_1_a_shared_cache_has_one_scope() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source()
        await read(cache, source, scope="a")
        await read(cache, source, scope="b")
        expect(source.starts, 1, "two scopes of a shared cache: number of runs")

    run(steps, shared=True)


def check_2_a_kept_answer_is_a_hit() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source()
        await read(cache, source)
        second = await read(cache, source)
        expect(source.starts, 1, "the same request twice: number of runs")
        expect(second.text, TEXT, "text of the kept answer")
        expect(second.events[-2:], EVENTS[-2:], "last events of the kept answer")
        expect(second.credit, "hit m1 local", "cache, model and backend of the kept answer")
        case = "cache, model and backend at the first event of a kept answer"
        expect(second.first_facts, "hit m1 local", case)

    run(steps)


def check_2_without_lookup_a_kept_answer_is_not_used() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source()
        await read(cache, source)
        second = await read(cache, source, lookup=False)
        expect(source.starts, 2, "the second request without lookup: number of runs")
        expect(second.facts.cache, "miss", "the second request without lookup: facts.cache")

    run(steps)


def check_3_equal_requests_share_a_flight() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(wait=True)
        readers = [Reader(cache, source) for _ in range(20)]
        await settle(*readers)
        await finish(source, *readers)
        expect(source.starts, 1, "20 equal requests: number of runs")
        labels = [reader.facts.cache for reader in readers]
        expect(labels, ["miss"] + ["shared"] * 19, "20 equal requests: facts.cache")

    run(steps)


def check_3_without_lookup_no_flight_is_joined() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(wait=True)
        readers = [Reader(cache, source, lookup=lookup) for lookup in (True, False)]
        await settle(*readers)
        expect(source.starts, 2, "two equal requests, one without lookup: number of runs")
        await finish(source, *readers)

    run(steps)


def check_4_each_reader_gets_each_event_once() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(wait=True)
        early = Reader(cache, source)
        await settle(early)
        expect(early.events, EVENTS[:1], "while the run goes on: events of a reader")
        late = Reader(cache, source)
        await settle(late)
        await finish(source, early, late)
        expect(early.events, EVENTS, "events of the first reader")
        expect(late.events, EVENTS, "events of a reader that joined later")

    run(steps)


def check_4_a_reader_waits_for_a_future_in_waiters() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(wait=True)
        readers = [Reader(cache, source) for _ in range(3)]
        await settle(*readers)
        (flight,) = cache._flights.values()
        expect(len(flight.waiters), 3, "three readers without a new event: futures in waiters")
        await finish(source, *readers)

    run(steps)


def check_4_credit_is_given_before_the_first_event() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(wait=True)
        readers = [Reader(cache, source) for _ in range(2)]
        await settle(*readers)
        actual = [reader.first_facts for reader in readers]
        expected = ["miss m1 local", "shared m1 local"]
        expect(actual, expected, "cache, model and backend of two readers at the first event")
        await finish(source, *readers)

    run(steps)


def check_4_credit_is_given_again_at_the_end() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(wait=True)
        readers = [Reader(cache, source) for _ in range(2)]
        await settle(*readers)
        readers[0].facts.backend = "remote"  # as the router does when it tries another one
        await finish(source, *readers)
        actual = readers[1].credit
        case = "another backend takes over after the first event: credit of the second reader"
        expect(actual, "shared m1 remote", case)

    run(steps)


def check_4_credit_is_given_at_the_end_of_a_flight_without_events() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(wait=True, error=ValueError("broken"))
        readers = [Reader(cache, source) for _ in range(2)]
        await settle(*readers)
        await finish(source, *readers)
        actual = [reader.credit for reader in readers]
        expected = ["miss m1 local", "shared m1 local"]
        expect(actual, expected, "cache, model and backend after a run that failed at once")

    run(steps)


def check_4_the_readers_are_counted() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(wait=True)
        readers = [Reader(cache, source) for _ in range(3)]
        await settle(*readers)
        (flight,) = cache._flights.values()
        expect(flight.readers, 3, "three generators that are reading: flight.readers")
        await finish(source, *readers)
        expect(flight.readers, 0, "after the end: flight.readers")

    run(steps)


def check_5_one_reader_stops_and_the_others_read_on() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(wait=True)
        cancelled, other = Reader(cache, source), Reader(cache, source)
        closed = cache.answer(ASK, "a", source, Facts())
        await anext(closed)
        await settle(cancelled, other)
        (flight,) = cache._flights.values()
        cancelled.task.cancel()
        await closed.aclose()  # type: ignore[attr-defined]
        await settle(other)
        expect(flight.readers, 1, "one of three readers cancelled, one closed: flight.readers")
        source.proceed.set()
        await other.task
        expect(other.text, TEXT, "text of the reader that is left")

    run(steps)


def check_5_the_run_stops_with_its_last_reader() -> None:
    async def steps(cache: AnswerCache) -> None:
        for how in ("cancelled", "closed"):
            source = Source(wait=True)
            if how == "cancelled":
                readers = [Reader(cache, source) for _ in range(3)]
                await settle(*readers)
                for reader in readers:
                    reader.task.cancel()
                await asyncio.gather(*(r.task for r in readers), return_exceptions=True)
            else:
                stream = cache.answer(ASK, "a", source, Facts())
                await anext(stream)
                await stream.aclose()  # type: ignore[attr-defined]
            actual = "runs on" if source.running else "stopped"
            expect(actual, "stopped", f"after all readers were {how}: the run")
            expect(len(cache._flights), 0, f"after all readers were {how}: flights")

    run(steps)


def check_6_an_error_reaches_every_reader_with_the_traceback_of_the_run() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(wait=True, error=ValueError("broken"))
        readers = [Reader(cache, source) for _ in range(3)]
        await settle(*readers)
        actual = await finish(source, *readers)
        expect(actual, ["ValueError('broken')"] * 3, "the run failed: errors of three readers")
        same = [reader.task.exception() is source.error for reader in readers]
        expect(same, [True] * 3, "the run failed: each reader raises the error of the run itself")
        runs = [reader.trace.count("__call__") for reader in readers]
        expect(runs, [1] * 3, "frames of the run in the traceback of each reader")
        generators = [reader.trace.count("_answer") for reader in readers]
        expect(generators, [1] * 3, "frames of `_answer` in the traceback of each reader")

    run(steps)
