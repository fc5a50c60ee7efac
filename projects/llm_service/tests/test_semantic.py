"""The semantic cache: which questions share an answer, and how that is measured."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from llm_service.gateway.cache.answer_cache import AnswerCache
from llm_service.gateway.cache.semantic import SemanticCache, false_hits, marks
from llm_service.request import Ask, Delta, Event, Facts, Finish

PAIRS = Path(__file__).parents[1] / "eval" / "semantic_pairs.jsonl"


async def alike(texts: list[str]) -> list[list[float]]:
    """A model to which every text is the same: only the guards decide."""
    return [[3.0, 4.0] for _ in texts]


async def by_length(texts: list[str]) -> list[list[float]]:
    return [[1.0, len(text)] for text in texts]


def ask_of(text: str, system: str = "Be kind.", **more: object) -> Ask:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return Ask("chat", "m", {"messages": messages, "temperature": 0, **more})


async def answer(cache: AnswerCache, ask: Ask, scope: str = "key") -> tuple[str, str]:
    async def run() -> AsyncIterator[Event]:
        yield Delta(f"to {ask.body['messages'][-1]['content']}")
        yield Finish("stop")

    facts = Facts()
    events = [event async for event in cache.answer(ask, scope, run, facts)]
    assert isinstance(events[0], Delta) and events[1:] == [Finish("stop")]
    return events[0].text, facts.cache


def test_the_words_of_asking_are_no_marks() -> None:
    assert marks("How do I reset my passwords?") == marks("how can i reset the password")
    assert marks("Who isn't paid two dollars?") == ("who", "not", "paid", "2", "dollar")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Keep 2 books", "Keep 3 books"),
        ("Which are vegan?", "Which aren't vegan?"),
        ("From London to Rome", "From Rome to London"),
        ("Do I give you the key?", "Do you give me the key?"),
        ("Is US trading open?", "Is us trading open?"),
        ("What is -5 squared?", "What is 5 squared?"),
        ("capital of france", "capital of spain"),
        ("C++", "C#"),
    ],
)
def test_other_content_has_other_marks(one: str, other: str) -> None:
    assert marks(one) != marks(other)


async def test_a_question_in_other_words_gets_the_kept_answer() -> None:
    cache = AnswerCache(1, 60, semantic=SemanticCache(alike))
    first = ("to How do I pay?", "miss")
    assert await answer(cache, ask_of("How do I pay?")) == first
    assert await answer(cache, ask_of("How can I pay?")) == (first[0], "semantic")
    assert await answer(cache, ask_of("How can I pay twice?")) == (
        "to How can I pay twice?",
        "miss",
    )
    assert (await answer(cache, ask_of("How may I pay?", "Be rude.")))[1] == "miss"
    assert (await answer(cache, ask_of("How could I pay?"), "other"))[1] == "miss"
    assert (await answer(cache, ask_of("How could I pay?", max_tokens=9)))[1] == "miss"
    cache.clear()
    assert (await answer(cache, ask_of("How could I pay?")))[1] == "miss"


async def test_the_threshold_decides_among_equal_marks() -> None:
    near = AnswerCache(1, 60, semantic=SemanticCache(by_length, 0.5))
    far = AnswerCache(1, 60, semantic=SemanticCache(by_length, 0.9999))
    for cache, label in ((near, "semantic"), (far, "miss")):
        await answer(cache, ask_of("pay"))
        assert (await answer(cache, ask_of("Please tell me how I should pay")))[1] == label


def test_only_plain_questions_are_looked_up() -> None:
    semantic = SemanticCache(alike)
    assert semantic.applies(ask_of("hi"))
    assert not semantic.applies(ask_of("hi", tools=[{"type": "function"}]))
    assert not semantic.applies(ask_of("hi", response_format={"type": "json_object"}))
    assert not semantic.applies(ask_of("x" * 501)) and not semantic.applies(ask_of(""))
    assert not semantic.applies(Ask("text", "m", {"prompt": "hi"}))
    last = {"role": "assistant", "content": "hi"}
    assert not semantic.applies(Ask("chat", "m", {"messages": [last]}))
    parts = {"role": "user", "content": [{"type": "text", "text": "hi"}]}
    assert not semantic.applies(Ask("chat", "m", {"messages": [parts]}))


async def test_an_embedding_model_that_fails_costs_no_answer() -> None:
    async def broken(texts: list[str]) -> list[list[float]]:
        raise RuntimeError(f"no vectors for {texts}")

    cache = AnswerCache(1, 60, semantic=SemanticCache(broken))
    assert await answer(cache, ask_of("How do I pay?")) == ("to How do I pay?", "miss")
    assert await answer(cache, ask_of("How do I pay?")) == ("to How do I pay?", "hit")


async def test_the_oldest_question_makes_room() -> None:
    semantic = SemanticCache(alike, most=2)
    for number, text in enumerate(["one", "two", "three", "four", "three"]):
        semantic.add(await semantic.probe(ask_of(text), "rest"), str(number))
    assert len(semantic) == 2 and len(semantic._groups) == 2
    gone = await semantic.probe(ask_of("one"), "rest")
    assert semantic.find(gone, lambda _: True) is None
    kept = await semantic.probe(ask_of("Three?"), "rest")
    assert semantic.find(kept, lambda _: True) == "4"
    assert semantic.find(kept, lambda _: False) is None


async def test_false_hits_are_counted_with_their_interval() -> None:
    pairs = [
        {"id": "1", "a": "How do I pay?", "b": "How can I pay?", "same": True},
        {"id": "2", "a": "pay", "b": "cost", "same": True},
        {"id": "3", "a": "Should I go?", "b": "Could I go?", "same": False},
        {"id": "4", "a": "2 cats", "b": "3 cats", "same": False},
    ]
    guarded = await false_hits(pairs, alike, [0.5, 0.9])
    assert [row["threshold"] for row in guarded["thresholds"]] == [0.5, 0.9]
    row = guarded["thresholds"][0]
    assert (row["hit_rate"]["value"], row["hit_rate"]["n"]) == (0.5, 2)
    assert row["false_hits"] == ["3"]
    assert 0 < row["false_hit_rate"]["low"] < 0.5 < row["false_hit_rate"]["high"] < 1
    alone = await false_hits(pairs, alike, 0.9, guards=False)
    assert alone["thresholds"][0]["false_hits"] == ["3", "4"]


def test_the_shipped_pairs_are_sound() -> None:
    pairs = [json.loads(line) for line in PAIRS.read_text().splitlines()]
    assert len(pairs) >= 60 and len({pair["id"] for pair in pairs}) == len(pairs)
    assert all(pair["a"] != pair["b"] and isinstance(pair["same"], bool) for pair in pairs)
    assert {"number", "negation", "entity", "unit", "direction"} <= {p["kind"] for p in pairs}
