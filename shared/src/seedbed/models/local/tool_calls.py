"""Tool calls of models whose chat template has no tools.

    instructions = tool_instructions(tools)        # for the system message
    grammar = calls_grammar(tools, "auto")         # what the model may generate
    calls = read_calls(text, tools)                # LangChain's tool calls

A call is one line of JSON, `{"name": …, "arguments": {…}}`. The grammar permits nothing else or,
with the choice "auto", a text that does not start with a brace.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from seedbed.structured.constrain import schema_node, within_limit
from seedbed.structured.grammar import MAX_CODE_POINT, Chars, Grammar, Node, Rep, alt, seq
from seedbed.structured.schemas import tool_name, tool_parameters, validate
from seedbed.structured.validator import Schema

MOST_CALLS = 8  # per message
# Printable characters without space and "{" (0x7B); without surrogates, which are not text.
_FIRST_CHAR = Chars(((0x21, 0x7A), (0x7C, 0x7E), (0xA1, 0xD7FF), (0xE000, MAX_CODE_POINT)))
_ANY_CHAR = Chars(((0x09, 0x0A), (0x20, 0x7E), (0xA0, 0xD7FF), (0xE000, MAX_CODE_POINT)))


def calls_grammar(
    tools: Sequence[Schema], choice: str, *, parallel: bool = False, names: bool = True
) -> Grammar:
    """The grammar of an answer that calls one of the tools; with "auto", of a call or a text.

    With `parallel`, up to MOST_CALLS calls may follow each other, one per line. Without `names`, a
    line has only the arguments of the one tool there is. Raises BadInput for a tool whose
    parameters cannot be guaranteed.
    """
    options: list[Node] = []
    for tool in tools:
        arguments = schema_node(tool_parameters(tool))
        name = json.dumps(tool_name(tool))
        call = seq(f'{{"name": {name}, "arguments": ', arguments, "}") if names else arguments
        options.append(call)
    if parallel:
        call = alt(options)
        options = [seq(call, Rep(seq("\n", call), 0, MOST_CALLS - 1))]
    if choice == "auto":
        options.append(seq(_FIRST_CHAR, Rep(_ANY_CHAR)))
    return within_limit(Grammar(alt(options)))


def read_calls(text: str, tools: Sequence[Schema], only: str = "") -> list[dict[str, Any]]:
    """A complete text of the grammar as LangChain's tool calls, without repeated calls.

    `only` is the name of the tool if the text contains the arguments of its calls alone.
    """
    parameters = {tool_name(tool): tool_parameters(tool) for tool in tools}
    calls: list[dict[str, Any]] = []
    for line in text.split("\n"):
        content = json.loads(line)
        name, arguments = (only, content) if only else (content["name"], content["arguments"])
        validate(arguments, parameters[name], f"The call of {name!r}")
        if all((call["name"], call["args"]) != (name, arguments) for call in calls):
            call_id = f"call_{uuid4().hex[:16]}"
            calls.append({"name": name, "args": arguments, "id": call_id, "type": "tool_call"})
    return calls


def tool_instructions(tools: Sequence[Schema], *, parallel: bool = False) -> str:
    """The part of the system message that describes the tools and how to call them."""
    lines = ["You can call these tools:"]
    for tool in tools:
        about = {"name": tool_name(tool), "description": tool["function"].get("description", "")}
        about["parameters"] = tool_parameters(tool)
        lines.append(json.dumps(about, ensure_ascii=False))
    lines.append('To call one, answer only with JSON: {"name": "tool", "arguments": {...}}')
    if parallel:
        lines.append("To call several, write one such line for each.")
    return "\n".join([*lines, "When no tool helps, answer with text."])


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
