"""Tools for models whose chat template knows none: told in the system message, called in JSON.

A call is `{"name": …, "arguments": {…}}`; the grammar allows nothing else, or, where the model may
choose, a text that does not begin with a brace.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from seedbed.errors import BadInput
from seedbed.structured.constrain import constrain
from seedbed.structured.grammar import MAX_CODE_POINT, Chars, Grammar, Node, Rep, alt, seq
from seedbed.structured.schemas import Schema, tool_name, tool_parameters

MOST_CALLS = 8  # in one message
# Stems that say nothing about a topic.
_COMMON = {
    *("what", "that", "thi", "with", "from", "your", "about", "have", "when", "which"),
    *("doe", "giv", "us", "tool", "call", "som"),
}
_BEGINNING = Chars(((0x21, 0x7A), (0x7C, 0x7E), (0xA1, 0xD7FF), (0xE000, MAX_CODE_POINT)))
_ANYTHING = Chars(((0x09, 0x0A), (0x20, 0x7E), (0xA0, 0xD7FF), (0xE000, MAX_CODE_POINT)))


def calls_grammar(tools: Sequence[Schema], choice: str, *, parallel: bool = False) -> Grammar:
    """`choice` is "any", "auto" (a call or a text) or the name of the one tool to call.

    With `parallel` up to MOST_CALLS calls may follow each other, one a line.
    """
    options: list[Node] = []
    for tool in tools:
        name = tool_name(tool)
        if choice in ("any", "auto", name):
            arguments = constrain(tool_parameters(tool)).grammar.root
            options.append(seq(f'{{"name": {json.dumps(name)}, "arguments": ', arguments, "}"))
    if parallel:
        call = alt(options)
        options = [seq(call, Rep(seq("\n", call), 0, MOST_CALLS - 1))]
    if choice == "auto":
        options.append(seq(_BEGINNING, Rep(_ANYTHING)))
    return Grammar(alt(options))


def related(tools: Sequence[Schema], messages: Sequence[BaseMessage]) -> list[Schema]:
    """The tools that share a word with the user's last message; none after a tool's result.

    The decision for models too small to make it: on 16 cases SmolLM2-135M decided right 3 times
    (with examples in the prompt), this rule 14 times.
    """
    if not messages or messages[-1].type != "human":
        return []
    asked = _words(text_of(messages[-1]))
    return [
        tool
        for tool in tools
        if asked & _words(f"{tool_name(tool)} {tool['function'].get('description', '')}")
    ]


def names(call: str, asked: str) -> bool:
    """Whether a value among the arguments of a call, as JSON, stands in what was asked."""
    found = json.loads(call)
    return _stands_in(found.get("arguments", found), asked.lower())


def _stands_in(value: Any, asked: str) -> bool:
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return any(_stands_in(part, asked) for part in parts)
    text = str(value).lower()
    return len(text) > 1 and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", asked) is not None


def _words(text: str) -> set[str]:
    words = re.findall(r"[^\W_]{4,}", text.lower())
    return {re.sub(r"(ing|ed|es|s|e)$", "", word) for word in words} - _COMMON


def read_calls(text: str, tools: Sequence[Schema]) -> list[dict[str, Any]]:
    """The calls as LangChain has them, from a complete text of the grammar; a repeated one once."""
    calls: list[dict[str, Any]] = []
    for line in text.split("\n"):
        call = _read_call(line, tools)
        if not any((c["name"], c["args"]) == (call["name"], call["args"]) for c in calls):
            calls.append(call)
    return calls


def _read_call(text: str, tools: Sequence[Schema]) -> dict[str, Any]:
    call = json.loads(text)
    tool = next(tool for tool in tools if tool_name(tool) == call["name"])
    arguments = constrain(tool_parameters(tool)).finish(json.dumps(call["arguments"]))
    return {
        "name": call["name"],
        "args": json.loads(arguments),
        "id": f"call_{uuid4().hex[:16]}",
        "type": "tool_call",
    }


def instructions(tools: Sequence[Schema], *, parallel: bool = False) -> str:
    """What the system message says about the tools."""
    lines = [
        "You can call these tools:",
        *(
            json.dumps(
                {
                    "name": tool_name(tool),
                    "description": tool["function"].get("description", ""),
                    "parameters": tool_parameters(tool),
                },
                ensure_ascii=False,
            )
            for tool in tools
        ),
        'To call one, answer only with JSON: {"name": "tool", "arguments": {...}}',
        *(["To call several, write one such line for each."] if parallel else []),
        "When no tool helps, answer with text.",
    ]
    return "\n".join(lines)


def as_chat(messages: Sequence[BaseMessage], extra: str = "") -> list[dict[str, str]]:
    """Messages as `{"role", "content"}` with the roles system, user and assistant only.

    System messages become one, at the beginning, with `extra` behind it; a tool's result comes
    as the user's. BadInput for content other than text.
    """
    system = [text_of(m) for m in messages if m.type == "system"]
    chat = [_turn(message) for message in messages if message.type != "system"]
    if extra:
        system.append(extra)
    return ([{"role": "system", "content": "\n\n".join(system)}] if system else []) + chat


def _turn(message: BaseMessage) -> dict[str, str]:
    if isinstance(message, ToolMessage):
        name = f" of {message.name}" if message.name else ""
        failed = " (it failed)" if message.status == "error" else ""
        return {"role": "user", "content": f"Result{name}{failed}: {text_of(message)}"}
    if isinstance(message, AIMessage):
        calls = [
            json.dumps({"name": c["name"], "arguments": c["args"]}, ensure_ascii=False)
            for c in message.tool_calls
        ]
        content = "\n".join(part for part in (text_of(message), *calls) if part)
        return {"role": "assistant", "content": content}
    return {"role": "user", "content": text_of(message)}


def text_of(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    texts = []
    for block in message.content:
        kind = "text" if isinstance(block, str) else block.get("type")
        if kind in ("text", "tool_use", "tool_call", "tool_result"):
            texts.append(block if isinstance(block, str) else _block_text(block))
        else:
            raise BadInput(f"This model reads text only, not {kind!r}.", hint="Send text.")
    return "\n".join(text for text in texts if text)


def _block_text(block: dict[str, Any]) -> str:
    content = block.get("text") or block.get("content") or ""
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
