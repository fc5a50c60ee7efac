"""What an answer must look like: a text, calls of tools, or JSON that follows a schema.

    tools, choice = requested_tools(options)       # OpenAI's `tools` and `tool_choice`
    schema = requested_schema(options)             # OpenAI's `response_format`
    form = answer_form(tools, choice, schema)      # a grammar, and how the prompt describes it

The text format of tool calls is in `tool_protocol`, the guarantee of a schema in `structured`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from langchain_core.messages import BaseMessage

from seedbed.errors import BadInput
from seedbed.models.local.tool_protocol import (
    arguments_grammar,
    arguments_instructions,
    calls_grammar,
    schema_instructions,
    tool_instructions,
)
from seedbed.structured.constrain import Constraint, constrain
from seedbed.structured.grammar import Grammar
from seedbed.structured.schemas import Schema, normalize_tool_choice, tool_functions, tool_name

# What `{"type": "json_object"}` means here: a small model adds members until the token limit.
ANY_OBJECT: Schema = {"type": "object", "maxProperties": 16}


@runtime_checkable
class ModelHelp(Protocol):
    """Decisions made for a model that is too small to make them; see `small_model`.

    A model that needs none of them has `LocalChatModel.help=None`.
    """

    def select_tools(
        self, tools: Sequence[Schema], choice: str, messages: Sequence[BaseMessage]
    ) -> list[Schema]:
        """The tools of which one must be called; none for an answer in text.

        `choice` is "auto" or, where a call was demanded, "any".
        """

    def text_form(self, messages: Sequence[BaseMessage]) -> tuple[str, Grammar] | None:
        """Instructions and a grammar for an answer in text; None where the model writes freely."""

    def loop_end(self, text: str, new: str) -> int | None:
        """How much of `new` to keep because `text + new` repeats itself endlessly; None if not."""

    def keeps_call(self, call: str, messages: Sequence[BaseMessage]) -> bool:
        """Whether to keep a tool call after the first, given as JSON; if not, the answer ends."""


@dataclass(frozen=True)
class AnswerForm:
    """What an answer must look like; by default a text."""

    instructions: str = ""  # for the system message
    grammar: Grammar | None = None
    constraint: Constraint | None = None  # of JSON that follows a schema; has the same grammar
    tools: Sequence[Schema] = ()  # that may be called
    only_tool: str = ""  # if set, the text is the arguments of this tool, one line per call
    must_complete: bool = True  # False for a text whose beginning is useful too

    @property
    def names_tools(self) -> bool:
        """Whether a call is written with the name of its tool."""
        return bool(self.tools) and not self.only_tool


def requested_tools(options: Mapping[str, Any]) -> tuple[list[Schema], str]:
    """The tools that may be called, and the choice: "none", "auto", "any" or a tool's name."""
    tools = tool_functions(options.get("tools", []))
    choice = normalize_tool_choice(options.get("tool_choice"), tools) if tools else "none"
    if choice not in ("none", "auto", "any"):
        tools = [tool for tool in tools if tool_name(tool) == choice]
    return tools, choice


def requested_schema(options: Mapping[str, Any]) -> Schema | None:
    """LangChain's `schema`, or OpenAI's `response_format` as a schema; None for plain text.

    >>> requested_schema({"response_format": {"type": "json_object"}}) is ANY_OBJECT
    True
    """
    response_format = _response_schema(options.get("response_format"))
    schema: Schema | None = options.get("schema", response_format)
    return schema


def _response_schema(response_format: Any) -> Schema | None:
    if response_format is None or response_format == {"type": "text"}:
        return None
    if isinstance(response_format, dict) and response_format.get("type") == "json_object":
        return ANY_OBJECT
    try:
        schema: Schema = response_format["json_schema"]["schema"]
    except (TypeError, KeyError):
        raise BadInput(
            f"Unsupported response_format: {response_format!r}.",
            hint='Use {"type": "json_schema", "json_schema": {"schema": {…}}}.',
        ) from None
    return schema


def answer_form(
    tools: Sequence[Schema],
    choice: str,
    schema: Schema | None,
    *,
    parallel: bool = False,
    describe_schema: bool = True,
) -> AnswerForm:
    """The form of an answer with calls of `tools`, unless `choice` is "none", or for `schema`.

    With `parallel`, several tools may be called. Without `describe_schema`, the prompt does not
    mention the schema. Raises BadInput for a schema or parameters that cannot be guaranteed.

    >>> answer_form([], "none", {"type": "integer"}).instructions
    'Answer with JSON that follows this schema: {"type": "integer"}'
    """
    if choice not in ("none", "auto") and len(tools) == 1:
        with _naming_parameter("tools"):
            grammar = arguments_grammar(tools[0], parallel=parallel)
        instructions = arguments_instructions(tools[0], parallel=parallel)
        return AnswerForm(instructions, grammar, tools=tools, only_tool=tool_name(tools[0]))
    if choice != "none":
        with _naming_parameter("tools"):
            grammar = calls_grammar(tools, choice, parallel=parallel)
        return AnswerForm(tool_instructions(tools, parallel=parallel), grammar, tools=tools)
    if schema is None:
        return AnswerForm()
    with _naming_parameter("response_format"):
        constraint = constrain(schema)
    if not describe_schema:
        return AnswerForm("", constraint.grammar, constraint)
    # A small model copies {"type": "object"}, so that schema is not shown to any.
    any_object = schema is ANY_OBJECT
    instructions = "Answer with a JSON object." if any_object else schema_instructions(schema)
    return AnswerForm(instructions, constraint.grammar, constraint)


@contextmanager
def _naming_parameter(param: str) -> Iterator[None]:
    """Add the name of the request's parameter to a BadInput, as OpenAI's clients expect it."""
    try:
        yield
    except BadInput as error:
        error.details = {"param": param, "code": "invalid_value", **error.details}
        raise
