"""Decides on tools by words, for models too small to decide themselves.

related_tools(tools, messages)    # the tools that share a word with the last message
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage

from seedbed.models.embeddings.hash import stem
from seedbed.models.local.messages import text_of
from seedbed.structured.schemas import Schema, tool_name

# Stems of words that are common in questions and in descriptions of tools.
_COMMON_STEMS = {
    *("what", "that", "thi", "with", "from", "your", "about", "have", "when", "which"),
    *("does", "giv", "used", "uses", "using", "tool", "call", "som"),
}


def related_tools(tools: Sequence[Schema], messages: Sequence[BaseMessage]) -> list[Schema]:
    """The tools that share a word with the user's last message; none after a tool's result.

    Decides for models that are too small to decide themselves: of 16 cases, SmolLM2-135M got 3
    right (with examples in the prompt), this rule 14.
    """
    if not messages or messages[-1].type != "human":
        return []
    stems = word_stems(text_of(messages[-1]))
    return [
        tool
        for tool in tools
        if stems & word_stems(f"{tool_name(tool)} {tool['function'].get('description', '')}")
    ]


def shares_value(call: str, question: str) -> bool:
    """Whether the question contains a value from the arguments of a call (JSON), as whole words.

    >>> shares_value('{"name": "weather", "arguments": {"city": "Paris"}}', "And in Paris?")
    True
    """
    content = json.loads(call)
    return _contains(question.lower(), content.get("arguments", content))


def _contains(question: str, value: Any) -> bool:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return any(_contains(question, part) for part in parts)
    text = str(value).lower()
    # A single character ("1", "a") is in many questions by chance.
    return len(text) > 1 and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", question) is not None


def word_stems(text: str) -> set[str]:
    """The stems of the words of four letters or more that are not too common to compare texts by.

    >>> sorted(word_stems("Which tools convert currencies?"))
    ['convert', 'currenc']
    """
    words = re.findall(r"[^\W_]{4,}", text.lower())
    return set(map(stem, words)) - _COMMON_STEMS


def uncalled_tools(tools: Sequence[Schema], messages: Sequence[BaseMessage]) -> list[Schema]:
    """The tools that were not called since the user's last message; all of them if all were.

    Where a call is compulsory, a small model repeats the call that has just been answered.
    """
    called = set()
    for message in reversed(messages):
        if message.type == "human":
            break
        called |= {call["name"] for call in getattr(message, "tool_calls", ())}
    return [tool for tool in tools if tool_name(tool) not in called] or list(tools)
