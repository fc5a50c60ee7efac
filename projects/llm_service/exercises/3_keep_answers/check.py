"""Checks of exercise 3: what a request and a second one like it get."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from llm_service.gateway.cache.answer_cache import AnswerCache
from llm_service.request import Ask, Delta, Event, Facts, Finish

ASK = Ask("chat", "m", {"messages": [{"role": "user", "content": "hi"}], "temperature": 0})
WHOLE = [Delta("one"), Delta("two"), Finish("stop")]


def expect(second: str, events: list[Event] = WHOLE, **options: Any) -> None:
    """`second`: what the run and the reader of the second request did, and its facts."""

    async def run(facts: Facts, log: list[str]) -> AsyncIterator[Event]:
        facts.model_used = "m"  # as the router does
        try:
            for event in events:
                log.append("run")
                yield event
        finally:
            log.append("closed")

    async def request(cache: AnswerCache, reads: int, **wish: Any) -> str:
        log, facts = list[str](), Facts()
        wish = {"scope": "a", "store": True, "lookup": True} | wish
        answer = cache.answer(ASK, run=run(facts, log), facts=facts, **wish)
        for _ in range(reads):
            event = await anext(answer, None)
            log.append(event.text if isinstance(event, Delta) else "end")
        await answer.aclose()
        return " ".join([*log, facts.cache, facts.model_used, str(facts.generated)])

    async def both() -> str:
        cache = AnswerCache(1, 60, options.pop("shared", False))
        await request(cache, 4)
        return await request(cache, options.pop("reads", 4), **options)

    case, actual = f"{len(events)} events, {options}", asyncio.run(both())
    assert actual == second, f"second request, {case}: expected {second!r}, got {actual!r}"


def check_1_the_key_has_the_scope_unless_the_cache_is_shared() -> None:
    expect("run one run two run end closed end miss m 0", scope="b")
    expect("one two end end hit m 2", scope="b", shared=True)


def check_2_a_kept_answer_is_used_with_lookup() -> None:
    expect("one two end end hit m 2")
    expect("run one run two run end closed end miss m 0", lookup=False)


def check_3_events_are_passed_on_one_by_one_until_the_reader_leaves() -> None:
    expect("run one closed miss m 0", reads=1, scope="b")


def check_4_complete_answers_are_kept() -> None:
    expect("run one closed end end end miss m 0", events=WHOLE[:1])
