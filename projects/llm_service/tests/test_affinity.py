"""Who has seen the beginning of a prompt."""

from __future__ import annotations

from typing import Any

from llm_service.gateway.routing.prefix_affinity import (
    BLOCK,
    MOST_BLOCKS,
    PrefixAffinity,
    blocks_of,
)
from llm_service.request import Ask

SYSTEM = "You answer questions about the rules of the house. " * 20


def chat(*contents: Any, **more: Any) -> Ask:
    messages = [{"role": "user", "content": content} for content in contents]
    return Ask("chat", "m", {"messages": messages, **more})


def test_prompts_share_the_blocks_of_their_common_beginning() -> None:
    one, two = blocks_of(chat(SYSTEM, "a" * 600)), blocks_of(chat(SYSTEM, "b" * 600))
    common = [a for a, b in zip(one, two, strict=True) if a == b]
    assert len(common) == (len("\nuser: ") + len(SYSTEM)) // BLOCK
    assert one[: len(common)] == common
    assert blocks_of(chat("x" + SYSTEM))[0] != one[0]


def test_short_prompts_have_no_blocks_and_long_ones_not_too_many() -> None:
    assert blocks_of(chat("hi")) == []
    assert len(blocks_of(chat("x" * 10**6))) == MOST_BLOCKS
    assert blocks_of(chat([{"type": "text", "text": SYSTEM}], None))


def test_the_longest_beginning_wins() -> None:
    affinity = PrefixAffinity()
    affinity.saw([1, 2], "a")
    affinity.saw([1, 2, 3], "b")
    assert affinity.choose([1, 2, 3, 4], {"a": 0, "b": 0}) == "b"
    assert affinity.choose([1, 9], {"a": 1, "b": 0}) == "b"  # both have it: the less busy
    assert affinity.choose([9], {"a": 0, "b": 0}) is None
    assert affinity.choose([1, 2, 3], {"a": 0, "c": 0}) == "a"  # b may not be asked


def test_a_much_busier_replica_is_spared() -> None:
    affinity = PrefixAffinity()
    affinity.saw([1, 2], "a")
    assert affinity.choose([1, 2], {"a": 4, "b": 0}) == "a"
    assert affinity.choose([1, 2], {"a": 5, "b": 0}) is None
    assert affinity.choose([1, 2], {"a": 14, "b": 8}) == "a"


def test_memory_is_bounded_and_what_was_used_last_stays() -> None:
    affinity = PrefixAffinity(most=100)
    affinity.saw(range(50), "a")
    affinity.saw(range(1000, 1040), "a")
    affinity.saw([0], "a")
    affinity.saw(range(2000, 2090), "b")
    assert len(affinity) == 100
    assert affinity.choose([0], {"a": 0}) == "a"
    assert affinity.choose([1], {"a": 0}) is None
