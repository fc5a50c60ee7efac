"""LangChain's schemas, tools and tool choices as plain JSON schema, and replies parsed by them.

    schema = json_schema(Answer)                 # of a pydantic class, a TypedDict, a dict …
    answer = parse_reply('{"score": 3}', Answer)  # an Answer, or InvalidReply

Shared by all chat models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool

from seedbed.errors import BadInput, InvalidReply
from seedbed.structured.reply_text import find_json
from seedbed.structured.validator import Schema, validator_for


def json_schema(schema: Schema | type) -> Schema:
    """The JSON schema of a pydantic class, a TypedDict or an OpenAI function.

    A JSON schema is returned unchanged, with its `$defs`; unlike in LangChain it may lack a title
    and need not be an object.
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
    """The schema of a tool's arguments; without parameters, that of an empty object."""
    return tool["function"].get("parameters") or {"type": "object", "properties": {}}


def validate(value: Any, schema: Schema, subject: str) -> None:
    """Raise InvalidReply, with `subject` and the JSON path, if `value` is not valid.

    Raises the errors of `validator_for` too.
    """
    error = next(iter(validator_for(schema).iter_errors(value)), None)
    if error is not None:
        place = f" at {error.json_path}" if error.absolute_path else ""
        raise InvalidReply(f"{subject} does not follow its schema{place}: {error.message}.")


def _line(error: Any) -> str:
    """Pydantic's errors in one line: each field with its problem."""
    if not hasattr(error, "errors"):
        return " ".join(str(error).split())
    problems = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
    return "; ".join(f"{field}: {problem}" if field else problem for field, problem in problems)


def parse_reply(text: str, schema: Schema | type) -> Any:
    """A reply as an instance of a pydantic class, or as data valid against a JSON schema.

    The JSON may be in a fence, or in a text; see `find_json`. Raises InvalidReply.

    >>> parse_reply("[1, 2]", {"type": "array"})
    [1, 2]
    """
    value = find_json(text)
    # pydantic 2, or a class of its version 1, which LangChain accepts too.
    construct = getattr(schema, "model_validate", None) or getattr(schema, "parse_obj", None)
    if isinstance(schema, type) and construct is not None:
        try:
            return construct(value)
        except ValueError as error:
            problem = f"The reply does not fit {schema.__name__}: {_line(error)}"
            raise InvalidReply(problem) from None
    validate(value, json_schema(schema), "The reply")
    return value


def with_parsed_replies(
    llm: Runnable[LanguageModelInput, AIMessage], schema: Schema | type, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """`llm` followed by `parse_reply`: what LangChain's `with_structured_output` returns.

    With `include_raw`, the result is `{"raw", "parsed", "parsing_error"}`, and an invalid reply
    does not raise.
    """
    if not include_raw:
        return llm | (lambda message: parse_reply(message.text, schema))
    parsed = RunnablePassthrough.assign(
        parsed=lambda reply: parse_reply(reply["raw"].text, schema), parsing_error=lambda _: None
    )
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    # Not RunnableMap(raw=llm), which does not pass the options of a call on, such as its timeout.
    raw = llm | (lambda message: {"raw": message})
    return raw | parsed.with_fallbacks([failed], exception_key="parsing_error")


def normalize_tool_choice(tool_choice: Any, tools: Sequence[Schema]) -> str:
    """A tool choice of LangChain or OpenAI as "auto", "none", "any" or the name of a tool."""
    names = [tool_name(tool) for tool in tools]
    fields = tool_choice if isinstance(tool_choice, dict) else {"name": tool_choice}
    choice = fields.get("function", fields).get("name", "")
    synonyms = {None: "auto", False: "none", True: "any", "required": "any"}
    if isinstance(choice, str | bool | None):
        choice = synonyms.get(choice, choice)
        if choice in ("auto", "none", "any") or choice in names:
            return str(choice)
    raise BadInput(
        f"tool_choice={tool_choice!r} is not one of the tools.",
        hint=f"Use auto, none, any or one of: {', '.join(names) or '(no tool is bound)'}.",
    )
