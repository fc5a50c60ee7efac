"""The exact cache: what is kept, who shares a run, and that nothing is left running."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import AsyncIterator, Callable

import pytest

from llm_service.gateway.cache.answer_cache import AnswerCache, merge, request_hash
from llm_service.request import Ask, Delta, Event, Facts, Finish, Usage
from seedbed.errors import BadInput, Unavailable

ANSWER = [Delta("Hel"), Delta("lo"), Finish("stop"), Usage(3, 2)]
MERGED = [Delta("Hello", tokens=2), Finish("stop"), Usage(3, 2)]


def ask_of(text: str = "hi", **more: object) -> Ask:
    body = {"messages": [{"role": "user", "content": text}], "temperature": 0, **more}
    return Ask("chat", "m", body)


class Source:
    """Runs that give the same events, wait before each, and are counted."""

    def __init__(self, events: list[Event] = ANSWER, fail: Exception | None = None) -> None:
        self.events, self.fail = events, fail
        self.runs = self.ended = self.given = 0
        self.go: asyncio.Event | None = None
        self.facts: Facts | None = None

    async def run(self) -> AsyncIterator[Event]:
        self.runs += 1
        try:
            for event in self.events:
                await asyncio.sleep(0)
                if self.go is not None:
                    await self.go.wait()
                if self.facts is not None:
                    self.facts.model_used = "used"
                self.given += 1
                yield event
            if self.fail is not None:
                raise self.fail
        finally:
            self.ended += 1


async def read(
    cache: AnswerCache, source: Source, ask: Ask | None = None, scope: str = "key", **flags: bool
) -> tuple[list[Event], str]:
    facts = Facts()
    source.facts = source.facts or facts
    events = cache.answer(ask or ask_of(), scope, source.run, facts, **flags)
    return [event async for event in events], facts.cache


@pytest.fixture
async def cache() -> AsyncIterator[AnswerCache]:
    made = AnswerCache(1, 60)
    yield made
    await made.close()
    assert not made._tasks and not made._flights


def test_only_what_would_be_answered_alike_is_cacheable() -> None:
    cache = AnswerCache(1, 60)

    def cacheable(kind: str = "chat", **body: object) -> bool:
        return cache.cacheable(Ask(kind, "m", body))  # type: ignore[arg-type]

    assert cacheable(temperature=0) and cacheable(temperature=0.0) and cacheable(seed=0)
    assert cacheable(temperature=1, seed=7, n=3)
    assert not cacheable() and not cacheable(temperature=0.1) and not cacheable(temperature=1, n=2)
    assert not cacheable("embedding", temperature=0)
    assert not AnswerCache(0, 60).cacheable(ask_of())


def test_equal_requests_have_one_hash() -> None:
    first = request_hash(ask_of(user="u", n=1), "key")
    assert first == request_hash(ask_of(temperature=0.0, metadata={"a": "b"}), "key")
    reordered = Ask("chat", "m", dict(reversed(ask_of().body.items())), stream=True, user="x")
    assert first == request_hash(reordered, "key")
    others = [ask_of("hi "), ask_of(n=2), ask_of(stop="x")]
    others += [Ask("chat", "other", ask_of().body), ask_of("\ud800"), ask_of("\x00")]
    hashes = {request_hash(ask, "key") for ask in others} | {request_hash(ask_of(), "other")}
    assert len(hashes | {first}) == len(others) + 2


async def test_the_second_request_is_a_hit(cache: AnswerCache) -> None:
    source = Source()
    assert await read(cache, source) == (ANSWER, "miss")
    facts = Facts()
    events = cache.answer(ask_of(user="x"), "key", source.run, facts)
    assert [event async for event in events] == MERGED
    assert (facts.cache, facts.model_used, source.runs) == ("hit", "used", 1)
    assert (await read(cache, source, scope="other"))[1] == "miss"


async def test_shared_caches_answer_every_key() -> None:
    cache, source = AnswerCache(1, 60, shared=True), Source()
    await read(cache, source, scope="a")
    assert await read(cache, source, scope="b") == (MERGED, "hit")


async def test_what_is_not_cacheable_runs_untouched(cache: AnswerCache) -> None:
    source = Source()
    for _ in range(2):
        assert await read(cache, source, ask_of(temperature=1)) == (ANSWER, "")
    assert source.runs == 2 and len(cache) == 0


async def test_bypass(cache: AnswerCache) -> None:
    source = Source()
    assert (await read(cache, source, store=False))[1] == "miss"
    assert len(cache) == 0
    assert (await read(cache, source, lookup=False))[1] == "miss"
    assert len(cache) == 1
    assert (await read(cache, source, store=False))[1] == "hit"
    assert (await read(cache, source, lookup=False))[1] == "miss"
    assert (await read(cache, source, lookup=False, store=False))[1] == ""
    assert source.runs == 4


async def test_answers_expire_and_make_room() -> None:
    now = [0.0]
    cache, source = AnswerCache(0.01, 60, clock=lambda: now[0]), Source()
    await read(cache, source)
    now[0] = 59.9
    assert (await read(cache, source))[1] == "hit"
    now[0] = 60.1
    assert (await read(cache, source))[1] == "miss"
    now[0] = 10.0  # a clock that goes back keeps it a little longer
    assert (await read(cache, source))[1] == "hit"
    for i in range(50):
        await read(cache, source, ask_of(str(i)))
    assert 0 < cache.bytes <= 0.01 * 2**20 and len(cache) < 50
    assert (await read(cache, source, ask_of("49")))[1] == "hit"
    huge = Source([Delta("x" * 20_000), Finish("stop")])
    await read(cache, huge, ask_of("huge"))
    assert (await read(cache, huge, ask_of("huge")))[1] == "miss"


@pytest.mark.parametrize(
    "events", [[], [Delta("cut")], [Delta("a"), Delta("b", 1), Finish("stop")]]
)
async def test_an_answer_that_just_stops_is_not_kept(
    cache: AnswerCache, events: list[Event]
) -> None:
    assert await read(cache, Source(events)) == (events, "miss")
    assert len(cache) == 0


async def test_equal_requests_in_flight_share_one_run(cache: AnswerCache) -> None:
    source = Source()
    answers = await asyncio.gather(*(read(cache, source) for _ in range(20)))
    assert source.runs == 1 == source.ended
    assert [events for events, _ in answers] == [ANSWER] * 20
    assert sorted(label for _, label in answers) == ["miss"] + ["shared"] * 19


async def test_an_error_reaches_all_and_is_not_kept(cache: AnswerCache) -> None:
    source = Source(ANSWER[:2], fail=BadInput("No.", hint="Try."))
    answers = await asyncio.gather(*(read(cache, source) for _ in range(5)), return_exceptions=True)
    assert {(type(a), str(a)) for a in answers} == {(BadInput, "No. Try.")}
    assert source.runs == 1 and len(cache) == 0
    source.fail = None
    source.events = ANSWER
    assert (await read(cache, source))[1] == "miss"


async def test_a_reader_that_never_reads_holds_nobody_up(cache: AnswerCache) -> None:
    source = Source()
    idle = cache.answer(ask_of(), "key", source.run, Facts())
    assert await anext(idle) == ANSWER[0]
    assert await read(cache, source) == (ANSWER, "shared")
    assert [event async for event in idle] == ANSWER[1:]


async def test_the_first_may_go_away_and_the_last_one_stops_the_run(cache: AnswerCache) -> None:
    source = Source([Delta(str(i)) for i in range(10)])
    first = asyncio.create_task(read(cache, source))
    second = cache.answer(ask_of(), "key", source.run, facts := Facts())
    await asyncio.sleep(0)
    assert await anext(second) == Delta("0")
    first.cancel()
    await asyncio.wait([first])
    assert source.ended == 0 and facts.cache == "miss"  # it pays now
    assert await anext(second) == Delta("1")
    await second.aclose()
    assert source.ended == 1 and not cache._tasks and source.given < 10


async def test_reader_that_leaves_before_the_first_event_stops_the_run(cache: AnswerCache) -> None:
    ended = []

    async def stuck() -> AsyncIterator[Event]:
        try:
            await asyncio.Event().wait()
            yield Delta("a")
        finally:
            ended.append("run")

    events = cache.answer(ask_of(), "key", stuck, Facts())
    reader = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.01)
    reader.cancel()
    await asyncio.wait([reader])
    assert ended == ["run"] and not cache._flights


async def test_who_comes_while_a_run_is_stopping_gets_a_new_one(cache: AnswerCache) -> None:
    source, release = Source(), asyncio.Event()

    async def stubborn() -> AsyncIterator[Event]:
        try:
            yield Delta("a")
            await asyncio.Event().wait()
        finally:
            await release.wait()

    leaving = cache.answer(ask_of(), "key", stubborn, Facts())
    await anext(leaving)
    closing = asyncio.create_task(leaving.aclose())
    await asyncio.sleep(0)
    assert await read(cache, source) == (ANSWER, "miss")
    release.set()
    await closing


async def test_a_run_that_is_cancelled_from_within_is_an_error(cache: AnswerCache) -> None:
    async def torn() -> AsyncIterator[Event]:
        yield Delta("a")
        raise asyncio.CancelledError

    with pytest.raises(Unavailable):
        _ = [event async for event in cache.answer(ask_of(), "key", torn, Facts())]


async def test_the_run_has_the_context_of_who_started_it(cache: AnswerCache) -> None:
    who = contextvars.ContextVar("who", default="nobody")

    async def run() -> AsyncIterator[Event]:
        yield Delta(who.get())
        who.set("the run")
        yield Finish("stop")

    who.set("first")
    events = [event async for event in cache.answer(ask_of(), "key", run, Facts())]
    assert events == [Delta("first"), Finish("stop")]
    assert who.get() == "first"


@pytest.mark.parametrize("seed", range(20))
async def test_random_comings_and_goings_leave_nothing_behind(seed: int) -> None:
    rng, cache = random.Random(seed), AnswerCache(1, 60)
    before = asyncio.all_tasks()
    sources = [Source([*map(Delta, "abcdefgh"), Finish("stop")]) for _ in range(3)]
    sources[2].fail = BadInput("No.")

    async def visitor() -> None:
        which = rng.randrange(3)
        events = cache.answer(ask_of(str(which)), "key", sources[which].run, Facts())
        got = []
        try:
            async for event in events:
                got.append(event)
                for _ in range(rng.randrange(3)):
                    await asyncio.sleep(0)
                if rng.random() < 0.1:
                    break
            else:
                whole = "".join(e.text for e in got if isinstance(e, Delta))
                assert whole == "abcdefgh"
        except BadInput:
            assert which == 2
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    tasks = []
    for _ in range(150):
        tasks.append(asyncio.create_task(visitor()))
        for _ in range(rng.randrange(6)):
            await asyncio.sleep(0)
        if rng.random() < 0.5:
            rng.choice(tasks).cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [r for r in results if isinstance(r, Exception)]
    assert asyncio.all_tasks() == before and not cache._flights
    assert all(source.runs == source.ended for source in sources)
    assert sum(source.runs for source in sources) < 150


def test_merging_keeps_each_choice_whole() -> None:
    def log(token: str) -> dict:
        return {"token": token}

    events = [
        Delta("a", 0, logprobs=[log("a")]),
        Delta("x", 1),
        Delta("b", 0, tokens=2, logprobs=[log("b")]),
        Delta("", 0, extra={"reasoning_content": "hm"}),
        Delta("c", 0, tool_calls=[{"index": 0}]),
        Delta("d", 0, tool_calls=[{"index": 1}]),
        Finish("stop", 1),
        Finish("stop", 0),
        Usage(1, 2),
    ]
    assert merge(events) == [
        Delta("ab", 0, 3, logprobs=(log("a"), log("b"))),
        Delta("", 0, extra={"reasoning_content": "hm"}),
        Delta("cd", 0, 2, tool_calls=({"index": 0}, {"index": 1})),
        Finish("stop", 0),
        Delta("x", 1),
        Finish("stop", 1),
        Usage(1, 2),
    ]


async def test_a_long_answer_costs_little_beside_its_making() -> None:
    """Not a timing: that a reader of one run takes what is there in one go."""
    source = Source([*map(Delta, "abc" * 100), Finish("stop")])
    cache, loop, steps = AnswerCache(1, 60), asyncio.get_running_loop(), 0
    original: Callable[..., object] = loop.call_soon

    def counted(*args: object, **kwargs: object) -> object:
        nonlocal steps
        steps += 1
        return original(*args, **kwargs)

    loop.call_soon = counted  # type: ignore[method-assign]
    try:
        await read(cache, source)
    finally:
        loop.call_soon = original  # type: ignore[method-assign]
    assert steps < 3 * 301


async def test_nobody_joins_a_run_that_is_not_to_be_kept(cache: AnswerCache) -> None:
    source = Source()
    both = await asyncio.gather(read(cache, source, store=False), read(cache, source))
    assert [label for _, label in both] == ["miss", "miss"] and source.runs == 2
