"""What an answer must look like: a text, calls of tools, or JSON that follows a schema.

    form = answer_form(options, messages)    # a grammar, and how the prompt describes it
    calls = read_calls(text, form.tools)     # LangChain's tool calls

The only place where `tools`, `tool_choice`, `response_format`, `schema` and `stop` of a call are
read. A call is one line of JSON, `{"name": …, "arguments": {…}}`, as chat templates of small models
have no tools. With "auto" the answer may also be a text that does not start with a brace.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from langchain_core.messages import BaseMessage

from seedbed.errors import BadInput
from seedbed.structured.constrain import constrain, schema_node, within_limit
from seedbed.structured.grammar import MAX_CODE_POINT, Chars, Grammar, Node, Rep, alt, seq
from seedbed.structured.schemas import (
    normalize_tool_choice,
    tool_functions,
    tool_name,
    tool_parameters,
    validate,
)
from seedbed.structured.validator import Schema

_ANY_OBJECT: Schema = {"type": "object"}
MOST_CALLS = 8  # per message
# Printable characters without space and "{" (0x7B); without surrogates, which are not text.
_FIRST_CHAR = Chars(((0x21, 0x7A), (0x7C, 0x7E), (0xA1, 0xD7FF), (0xE000, MAX_CODE_POINT)))
_ANY_CHAR = Chars(((0x09, 0x0A), (0x20, 0x7E), (0xA0, 0xD7FF), (0xE000, MAX_CODE_POINT)))


@dataclass(frozen=True)
class AnswerForm:
    """What an answer must look like; by default a text."""

    instructions: str = ""  # for the system message
    grammar: Grammar | None = None
    tools: Sequence[Schema] = ()  # that may be called
    only_tool: str = ""  # if set, the text is the arguments of this tool, one line per call
    is_json: bool = False
    must_complete: bool = True  # False for a text whose beginning is useful too


def answer_form(
    options: Mapping[str, Any], messages: Sequence[BaseMessage] = (), help: Any = None
) -> AnswerForm:
    """The form of the answer to a call with `options`, by the names of LocalChatModel and OpenAI.

    `help` decides for a model that is too small to do so, like `SmallModelHelp`.
    Raises BadInput for a schema or parameters that cannot be guaranteed, and for stop sequences
    that would cut the JSON of a schema or of a compulsory call.
    """
    # 1. The tools that may be called, and the schema of an answer without a call.
    tools = tool_functions(options.get("tools") or [])
    choice = normalize_tool_choice(options.get("tool_choice"), tools) if tools else "none"
    if choice not in ("none", "auto", "any"):
        tools = [tool for tool in tools if tool_name(tool) == choice]
    schema = options.get("schema")
    if schema is None:
        schema = _response_schema(options.get("response_format"))
    is_json = choice not in ("auto", "none") or (choice == "none" and schema is not None)
    if options.get("stop") and is_json:
        param = "response_format" if choice == "none" else "tool_choice"
        text = f"stop: not supported together with {param}, because it would cut the JSON."
        error = BadInput(text, hint="Leave out stop.")
        error.details = {"param": "stop", "code": "unsupported_parameter"}
        raise error
    # A request for the one tool there is, or for one by name, wants one call; and a small model
    # that has no further call to make invents some.
    parallel = bool(options.get("parallel_tool_calls")) and help is None
    parallel = parallel and (choice == "auto" or (choice == "any" and len(tools) > 1))
    # 2. For a small model, decide whether a tool must be called, and select the tools.
    if help and choice in ("auto", "any"):
        tools = help.select_tools(tools, choice, messages)
        choice = "any" if tools else "none"
    # 3. Compile what the answer must look like, and describe it.
    if choice != "none":
        only = tool_name(tools[0]) if choice != "auto" and len(tools) == 1 else ""
        with _naming_parameter("tools"):
            grammar = calls_grammar(tools, choice, parallel=parallel, names=not only)
        if only:
            instructions = arguments_instructions(tools[0], parallel=parallel)
        else:
            instructions = tool_instructions(tools, parallel=parallel)
        return AnswerForm(instructions, grammar, tools, only)
    if schema is not None:
        with _naming_parameter("response_format"):
            grammar = constrain(schema)
        # A small model copies {"type": "object"}, so that schema is not shown to any.
        any_object = schema is _ANY_OBJECT
        text = "Answer with a JSON object." if any_object else schema_instructions(schema)
        described = options.get("describe_schema", True)
        return AnswerForm(text if described else "", grammar, is_json=True)
    if help and (text_form := help.text_form(messages)):
        instructions, grammar = text_form
        return AnswerForm(instructions, grammar, must_complete=False)
    return AnswerForm()


def _response_schema(response_format: Any) -> Schema | None:
    """OpenAI's `response_format` as a schema; None for plain text."""
    if response_format is None or response_format == {"type": "text"}:
        return None
    if isinstance(response_format, dict) and response_format.get("type") == "json_object":
        return _ANY_OBJECT
    try:
        schema: Schema = response_format["json_schema"]["schema"]
    except (TypeError, KeyError):
        raise BadInput(
            f"Unsupported response_format: {response_format!r}.",
            hint='Use {"type": "json_schema", "json_schema": {"schema": {…}}}.',
        ) from None
    return schema


@contextmanager
def _naming_parameter(param: str) -> Iterator[None]:
    """Add the name of the request's parameter to a BadInput, as OpenAI's clients expect it."""
    try:
        yield
    except BadInput as error:
        error.details = {"param": param, "code": "invalid_value", **error.details}
        raise


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
