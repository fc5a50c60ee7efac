"""What a model has replied, without what it wrote around it."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seedbed.errors import InvalidReply
from seedbed.structured.reply_text import find_json, without_thinking

texts = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts, values, min_size=1, max_size=3)
generated = settings(deadline=None, suppress_health_check=list(HealthCheck))


@generated
@given(objects, st.sampled_from(["think", "thinking", "reasoning"]))
def test_thinking_prose_and_fence_around_an_object_are_left_out(value: Any, tag: str) -> None:
    text = json.dumps(value)
    for around in (
        json.dumps(value, indent=2, ensure_ascii=False),
        f"<{tag}>Is it {{1}} or [2]?</{tag}>\n{text}",
        f"Sure! Here is the plan:\n```json\n{text}\n```\nLet me know.",
        f"<{tag}>ok</{tag}>```\n{text}\n```",
        f"The answer is {text} [1], as [the manual] says.",
        f"the prompt opened the tag\n</think>\n{text}",
    ):
        assert find_json(around) == value


@generated
@given(objects, st.data())
def test_broken_json_is_never_read_in_part(value: Any, data: Any) -> None:
    text = json.dumps({"outer": value})
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    with pytest.raises(InvalidReply, match="not JSON"):
        find_json(f"Here: {cut}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("I think it is A1.", "not JSON"),
        ('<think>It is {"a": 1}', "not JSON"),
        ('First {"a": 1}, then {"a": 2}', "2 JSON values"),
        ('{"price": NaN}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[x " * 100_000, "not JSON"),
    ],
)
def test_reply_without_one_value_is_invalid(text: str, problem: str) -> None:
    with pytest.raises(InvalidReply, match=problem):
        find_json(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>5?</think>\n\nIt is 5.", "It is 5."),
        ("<think></think><thinking>x\ny</thinking> Yes.", "Yes."),
        ("Hm, 5?\n</think>\nIt is 5.", "It is 5."),
        ("<think>It is", ""),
        ("Use the tag <think> here.", "Use the tag <think> here."),
    ],
)
def test_thinking_in_tags_is_cut(text: str, answer: str) -> None:
    assert without_thinking(text) == answer
