"""What LangChain callers hand in as a schema or a tool, as plain JSON schema, and the answer back.

Knows nothing of models: `LocalChatModel` and `ScriptedChatModel` share it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import (
    Runnable,
    RunnableGenerator,
    RunnableLambda,
    RunnableMap,
    RunnablePassthrough,
)
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from seedbed.errors import BadInput, SeedbedError

Schema = dict[str, Any]


class InvalidReply(SeedbedError):
    """A model's reply does not follow the schema it was given."""


def json_schema(schema: Schema | type) -> Schema:
    """The JSON schema of a pydantic class, a TypedDict, an OpenAI function or a JSON schema.

    A JSON schema is taken as it is, `$defs` and all; it needs no title, and no object on top.
    """
    if isinstance(schema, dict) and not {"function", "parameters", "input_schema"} & schema.keys():
        return schema
    if isinstance(schema, type) and hasattr(schema, "model_json_schema"):
        return dict(schema.model_json_schema())
    return convert_to_json_schema(schema)


def tool_functions(
    tools: Sequence[Schema | type | Callable[..., Any] | BaseTool],
) -> list[Schema]:
    """Tools of any LangChain kind in OpenAI's form, `{"type": "function", "function": {…}}`."""
    return [convert_to_openai_tool(tool) for tool in tools]


def tool_name(tool: Mapping[str, Any]) -> str:
    return str(tool["function"]["name"])


def tool_parameters(tool: Mapping[str, Any]) -> Schema:
    """The schema of a tool's arguments; a tool without any takes an empty object."""
    return tool["function"].get("parameters") or {"type": "object", "properties": {}}


def check(value: Any, schema: Schema, what: str) -> None:
    """Raise InvalidReply, naming the place, where `value` does not follow `schema`."""
    from jsonschema import Draft202012Validator

    error = next(iter(Draft202012Validator(schema).iter_errors(value)), None)
    if error is not None:
        place = f" at {error.json_path}" if error.absolute_path else ""
        raise InvalidReply(f"{what} does not follow its schema{place}: {error.message}.")


def with_structure(
    llm: Runnable[LanguageModelInput, AIMessage], schema: Schema | type, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """`llm` followed by a parser: an instance of a pydantic class, else checked plain data."""

    def parse(message: AIMessage) -> Any:
        return read(message.text, schema)

    def parse_stream(messages: Iterator[AIMessage]) -> Iterator[Any]:
        yield read("".join(message.text for message in messages), schema)

    async def parse_astream(messages: Any) -> Any:
        yield read("".join([message.text async for message in messages]), schema)

    if not include_raw:
        return llm | RunnableGenerator(parse_stream, parse_astream)
    parsed = RunnablePassthrough.assign(
        parsed=itemgetter("raw") | RunnableLambda(parse), parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=llm) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def read(text: str, schema: Schema | type) -> Any:
    """A reply's text as data that follows `schema`; InvalidReply where it does not."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidReply(f"The reply is not JSON ({error}): {text[:200]!r}") from None
    model = getattr(schema, "model_validate", None) or getattr(schema, "parse_obj", None)
    if isinstance(schema, type) and model is not None:
        try:
            return model(value)
        except ValueError as error:
            raise InvalidReply(f"The reply does not fit {schema.__name__}: {error}") from None
    check(value, json_schema(schema), "The reply")
    return value


def choose(tool_choice: Any, tools: Sequence[Schema]) -> str:
    """LangChain's and OpenAI's ways to say it, as "auto", "none", "any" or a tool's name."""
    names = [tool_name(tool) for tool in tools]
    if isinstance(tool_choice, dict):
        tool_choice = tool_choice.get("function", tool_choice).get("name")
    simple = {None: "auto", False: "none", True: "any", "required": "any"}
    if isinstance(tool_choice, str | bool | None):
        chosen = simple.get(tool_choice, tool_choice)
        if chosen in ("auto", "none", "any") or chosen in names:
            return str(chosen)
    raise BadInput(
        f"tool_choice={tool_choice!r} is not one of the tools.",
        hint=f"Use auto, none, any or one of: {', '.join(names) or '(no tool bound)'}.",
    )
