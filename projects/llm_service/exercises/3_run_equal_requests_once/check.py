"""Checks of exercise 3: equal requests, kept answers, readers that come and go."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from llm_service.ask import Ask, Delta, Event, Facts, Finish, Usage
from llm_service.cache import AnswerCache

ASK = Ask("chat", "m", {"messages": [{"role": "user", "content": "hi"}], "temperature": 0})


class Source:
    """A run that says three words, as slowly as told; counts how often and how far it ran."""

    def __init__(self, pause: float = 0.0, error: Exception | None = None) -> None:
        self.pause, self.error = pause, error
        self.started = self.ended = 0

    async def __call__(self) -> AsyncIterator[Event]:
        self.started += 1
        for word in ("one ", "two ", "three"):
            await asyncio.sleep(self.pause)
            if self.error is not None:
                raise self.error
            yield Delta(word)
        self.ended += 1
        yield Finish("stop")
        yield Usage(1, 3)


async def read(cache: AnswerCache, source: Source, facts: Facts, scope: str = "a") -> str:
    text = ""
    async for event in cache.answer(ASK, scope, source, facts):
        text += event.text if isinstance(event, Delta) else ""
    return text


def run(steps: Callable[[AnswerCache], Awaitable[None]], shared: bool = False) -> None:
    async def main() -> None:
        cache = AnswerCache(1, 60, shared)
        async with asyncio.timeout(10):
            await steps(cache)
        await cache.close()

    asyncio.run(main())


def check_a_first_request_runs() -> None:
    async def steps(cache: AnswerCache) -> None:
        facts = Facts()
        text = await read(cache, Source(), facts)
        assert text == "one two three", f"the reader got {text!r}"
        assert facts.cache == "miss", f"facts.cache should be 'miss', not {facts.cache!r}"

    run(steps)


def check_a_second_is_a_hit() -> None:
    async def steps(cache: AnswerCache) -> None:
        source, facts = Source(), Facts()
        await read(cache, source, Facts())
        text = await read(cache, source, facts)
        assert text == "one two three", f"the kept answer came as {text!r}"
        assert facts.cache == "hit", f"facts.cache should be 'hit', not {facts.cache!r}"
        assert source.started == 1, f"the source ran {source.started} times"

    run(steps)


def check_equal_requests_in_flight_share_one_run() -> None:
    async def steps(cache: AnswerCache) -> None:
        source, facts = Source(pause=0.02), [Facts() for _ in range(20)]
        texts = await asyncio.gather(*(read(cache, source, each) for each in facts))
        assert set(texts) == {"one two three"}, f"the readers got {set(texts)}"
        assert source.started == 1, f"the source ran {source.started} times for 20 readers"
        said = sorted(each.cache for each in facts)
        assert said == ["miss"] + ["shared"] * 19, f"facts.cache said {said}"

    run(steps)


def check_another_key_has_its_own_answers() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source()
        await read(cache, source, Facts(), "a")
        await read(cache, source, Facts(), "b")
        assert source.started == 2, "another key's answer was given away"

    run(steps)


def check_unless_the_cache_is_shared() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source()
        await read(cache, source, Facts(), "a")
        await read(cache, source, Facts(), "b")
        assert source.started == 1, "with a shared cache the second key should get the answer"

    run(steps, shared=True)


def check_one_reader_leaves_and_the_others_read_on() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(pause=0.02)
        first = asyncio.create_task(read(cache, source, Facts()))
        others = [asyncio.create_task(read(cache, source, Facts())) for _ in range(2)]
        await asyncio.sleep(0.03)
        first.cancel()
        texts = await asyncio.gather(*others)
        assert texts == ["one two three"] * 2, f"after one left, the others got {texts}"

    run(steps)


def check_when_all_leave_the_run_stops() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(pause=0.02)
        readers = [asyncio.create_task(read(cache, source, Facts())) for _ in range(3)]
        await asyncio.sleep(0.03)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        await asyncio.sleep(0.1)
        assert source.ended == 0, "nobody reads any more, yet the run went on to its end"
        assert cache.in_flight == 0, "a flight that nobody reads is still there"

    run(steps)


def check_an_error_reaches_every_reader() -> None:
    async def steps(cache: AnswerCache) -> None:
        source = Source(pause=0.02, error=ValueError("broken"))
        work = [read(cache, source, Facts()) for _ in range(3)]
        found = await asyncio.gather(*work, return_exceptions=True)
        kinds = [type(each).__name__ for each in found]
        assert kinds == ["ValueError"] * 3, f"the readers got {kinds}"

    run(steps)
