"""The cache of answers: which requests are equal, what is kept, and for how long."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from llm_service.gateway.cache.answer_cache import AnswerCache, request_hash
from llm_service.request import Ask, Delta, Event, Facts, Finish, Usage
from seedbed.errors import BadInput

ANSWER = [Delta("Hel"), Delta("lo"), Finish("stop"), Usage(3, 2)]


def ask_of(text: str = "hi", **more: object) -> Ask:
    body = {"messages": [{"role": "user", "content": text}], "temperature": 0, **more}
    return Ask("chat", "m", body)


class Source:
    """Runs that give the same events, and are counted."""

    def __init__(self, events: list[Event] = ANSWER, fail: Exception | None = None) -> None:
        self.events, self.fail = events, fail
        self.runs = self.ended = 0

    async def run(self, facts: Facts) -> AsyncIterator[Event]:
        self.runs += 1
        facts.model_used = "used"
        try:
            for event in self.events:
                yield event
            if self.fail is not None:
                raise self.fail
        finally:
            self.ended += 1


async def read(
    cache: AnswerCache,
    source: Source,
    ask: Ask | None = None,
    scope: str = "key",
    store: bool = True,
    lookup: bool = True,
) -> tuple[list[Event], str]:
    facts = Facts()
    run = source.run(facts)
    events = cache.answer(ask or ask_of(), scope, run, facts, store=store, lookup=lookup)
    answer = [event async for event in events]
    assert facts.model_used == "used"
    return answer, facts.cache


@pytest.fixture
def cache() -> AnswerCache:
    return AnswerCache(1, 60)


def test_only_what_would_be_answered_alike_is_cacheable(cache: AnswerCache) -> None:
    def cacheable(**body: object) -> bool:
        return cache.cacheable(Ask("chat", "m", body))

    assert cacheable(temperature=0) and cacheable(temperature=0.0) and cacheable(seed=0)
    assert cacheable(temperature=1, seed=7, n=3)
    assert not cacheable() and not cacheable(temperature=0.1) and not cacheable(temperature=1, n=2)
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
    assert await read(cache, source, ask_of(user="x")) == (ANSWER, "hit")
    assert source.runs == 1
    assert (await read(cache, source, scope="other"))[1] == "miss"
    shared = AnswerCache(1, 60, shared=True)
    assert [(await read(shared, source, scope=key))[1] for key in "ab"] == ["miss", "hit"]


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
    for i in range(200):
        await read(cache, source, ask_of(str(i)))
    assert 0 < cache.bytes <= 0.01 * 2**20 and len(cache) < 200
    assert (await read(cache, source, ask_of("199")))[1] == "hit"
    huge = Source([Delta("x" * 20_000), Finish("stop")])
    await read(cache, huge, ask_of("huge"))
    assert (await read(cache, huge, ask_of("huge")))[1] == "miss"


@pytest.mark.parametrize(
    "events", [[], [Delta("cut")], [Delta("a"), Delta("b", 1), Finish("stop")]]
)
async def test_incomplete_answer_is_not_kept(cache: AnswerCache, events: list[Event]) -> None:
    assert await read(cache, Source(events)) == (events, "miss")
    assert len(cache) == 0


async def test_error_is_raised_and_not_kept(cache: AnswerCache) -> None:
    with pytest.raises(BadInput, match=r"No\."):
        await read(cache, Source(fail=BadInput("No.")))
    assert len(cache) == 0


async def test_reader_that_leaves_stops_the_run(cache: AnswerCache) -> None:
    source, facts = Source(), Facts()
    events = cache.answer(ask_of(), "key", source.run(facts), facts, store=True, lookup=True)
    assert await anext(events) == ANSWER[0]
    await events.aclose()
    assert source.ended == 1 and len(cache) == 0
