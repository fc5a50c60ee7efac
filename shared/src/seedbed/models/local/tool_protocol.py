"""Tool calls for models whose chat template has no tools.

    instructions = tool_instructions(tools)        # for the system message
    grammar = calls_grammar(tools, "auto")         # what the model may generate
    calls = read_calls(text, tools)                # LangChain's tool calls

A call is one line of JSON, `{"name": …, "arguments": {…}}`. The grammar permits nothing else or,
with the choice "auto", a text that does not start with a brace. Running the tools is left to the
caller.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from seedbed.models.local.messages import text_of
from seedbed.structured.constrain import constrain
from seedbed.structured.grammar import MAX_CODE_POINT, Chars, Grammar, Node, Rep, alt, seq
from seedbed.structured.schemas import Schema, tool_name, tool_parameters

MOST_CALLS = 8  # per message
# Printable characters without space and "{" (0x7B); without surrogates, which are not text.
_FIRST_CHAR = Chars(((0x21, 0x7A), (0x7C, 0x7E), (0xA1, 0xD7FF), (0xE000, MAX_CODE_POINT)))
_ANY_CHAR = Chars(((0x09, 0x0A), (0x20, 0x7E), (0xA0, 0xD7FF), (0xE000, MAX_CODE_POINT)))


def calls_grammar(tools: Sequence[Schema], choice: str, *, parallel: bool = False) -> Grammar:
    """The grammar of an answer with tool calls.

    `choice` is "any", "auto" (a call or a text) or the name of the tool to call. With `parallel`,
    up to MOST_CALLS calls may follow each other, one per line. Raises BadInput for a tool whose
    parameters cannot be guaranteed.
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
        options.append(seq(_FIRST_CHAR, Rep(_ANY_CHAR)))
    return Grammar(alt(options))


def arguments_grammar(tool: Schema, *, parallel: bool = False) -> Grammar:
    """The grammar of the arguments of a tool that must be called; with `parallel`, one line each.

    Raises BadInput for parameters that cannot be guaranteed.
    """
    arguments = constrain(tool_parameters(tool)).grammar.root
    more = Rep(seq("\n", arguments), 0, MOST_CALLS - 1 if parallel else 0)
    return Grammar(seq(arguments, more) if parallel else arguments)


def read_calls(text: str, tools: Sequence[Schema], only: str = "") -> list[dict[str, Any]]:
    """A complete text of the grammar as LangChain's tool calls, without repeated calls.

    `only` is the name of the tool if the text contains the arguments of its calls alone.
    """
    calls: list[dict[str, Any]] = []
    for line in text.split("\n"):
        content = json.loads(line)
        call = _read_call({"name": only, "arguments": content} if only else content, tools)
        if not any((c["name"], c["args"]) == (call["name"], call["args"]) for c in calls):
            calls.append(call)
    return calls


def _read_call(call: Mapping[str, Any], tools: Sequence[Schema]) -> dict[str, Any]:
    tool = next(tool for tool in tools if tool_name(tool) == call["name"])
    arguments = constrain(tool_parameters(tool)).finish(json.dumps(call["arguments"]))
    return {
        "name": call["name"],
        "args": json.loads(arguments),
        "id": f"call_{uuid4().hex[:16]}",
        "type": "tool_call",
    }


def tool_instructions(tools: Sequence[Schema], *, parallel: bool = False) -> str:
    """The part of the system message that describes the tools and how to call them."""
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


def arguments_instructions(tool: Schema, *, parallel: bool = False) -> str:
    """The part of the system message for a tool that must be called: that of a structured answer.

    Its schema alone, because a model that is shown the form of a call copies it: with
    `{"name": "tool", …}` in the prompt, SmolLM2-135M fills a parameter `name` with "tool".
    """
    lines = [
        tool["function"].get("description", ""),
        schema_instructions(tool_parameters(tool)),
        "To give several, write one such line for each." if parallel else "",
    ]
    return "\n".join(line for line in lines if line)


def schema_instructions(schema: Schema) -> str:
    """The part of the system message that describes a structured answer."""
    return f"Answer with JSON that follows this schema: {json.dumps(schema)}"


def as_chat(
    messages: Sequence[BaseMessage], extra: str = "", *, calls: bool = True
) -> list[dict[str, str]]:
    """Messages as `{"role", "content"}` with the roles system, user and assistant only.

    All system messages are joined into one at the start, followed by `extra`. A tool's result
    becomes a user message. Earlier calls are shown in the form in which the model calls tools;
    with `calls=False`, for an answer without calls, they are left out, or a small model repeats
    them as text. Raises BadInput for content other than text.

    >>> from langchain_core.messages import HumanMessage
    >>> as_chat([HumanMessage("Hi")], "Be brief.")
    [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Hi'}]
    """
    system = [text_of(m) for m in messages if m.type == "system"]
    names = {c["id"]: c["name"] for m in messages if isinstance(m, AIMessage) for c in m.tool_calls}
    chat = [_chat_message(m, names, calls) for m in messages if m.type != "system"]
    chat = [message for message in chat if message["content"] or message["role"] == "user"]
    if extra:
        system.append(extra)
    return ([{"role": "system", "content": "\n\n".join(system)}] if system else []) + chat


def _chat_message(
    message: BaseMessage, names: Mapping[str | None, str], show_calls: bool
) -> dict[str, str]:
    if isinstance(message, ToolMessage):
        name = message.name or names.get(message.tool_call_id, "")
        name = f" of {name}" if name else ""
        status = " (it failed)" if message.status == "error" else ""
        return {"role": "user", "content": f"Result{name}{status}: {text_of(message)}"}
    if isinstance(message, AIMessage):
        calls = [
            json.dumps({"name": c["name"], "arguments": c["args"]}, ensure_ascii=False)
            for c in (message.tool_calls if show_calls else ())
        ]
        content = "\n".join(part for part in (text_of(message), *calls) if part)
        return {"role": "assistant", "content": content}
    return {"role": "user", "content": text_of(message)}
