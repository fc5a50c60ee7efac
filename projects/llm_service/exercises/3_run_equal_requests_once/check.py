"""Checks of exercise 3: two equal requests. Tests of the project check steps 5 and 6."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from llm_service.gateway.cache.answer_cache import AnswerCache
from llm_service.request import Ask, Delta, Event, Facts, Finish

ASK = Ask("chat", "m", {"messages": [{"role": "user", "content": "hi"}], "temperature": 0})


async def answer_two(together: Any = False, shared: Any = False, **second: Any) -> list[str]:
    """The `facts.cache`, model and text of each request; then "run" for each run."""
    cache, go_on, log, first = AnswerCache(1, 60, shared), asyncio.Event(), list[str](), Facts()

    async def run() -> AsyncIterator[Event]:
        log.append("run")
        yield Delta("one ")
        await go_on.wait()
        first.model_used = "m"  # as the router does
        yield Delta("two")
        yield Finish("stop")

    async def read(facts: Facts, scope: str = "a", **options: Any) -> str:
        events = [event async for event in cache.answer(ASK, scope, run, facts, **options)]
        return f"{facts.cache} {facts.model_used} {''.join(e.text for e in events[:-1])}"

    tasks = [asyncio.create_task(read(first))]
    await asyncio.sleep(0.01)
    if not together:
        go_on.set()
        await tasks[0]
    tasks.append(asyncio.create_task(read(Facts(), **second)))
    await asyncio.sleep(0.01)
    go_on.set()
    return [*await asyncio.gather(*tasks), *log]


def expect(second: str, runs: int, **options: Any) -> None:
    actual = asyncio.run(answer_two(**options))
    expected = ["miss m one two", second, *["run"] * runs]
    assert actual == expected, f"two requests, {options}: expected {expected}, got {actual}"


def check_1_the_key_has_the_scope_unless_the_cache_is_shared() -> None:
    expect("miss  one two", 2, scope="b")
    expect("hit m one two", 1, scope="b", shared=True)


def check_2_a_kept_answer_is_a_hit() -> None:
    expect("hit m one two", 1)


def check_3_a_flight_is_joined_unless_lookup_is_false() -> None:
    expect("miss  one two", 2, together=True, lookup=False)


def check_4_a_late_reader_gets_each_event_and_the_credit() -> None:
    expect("shared m one two", 1, together=True)
