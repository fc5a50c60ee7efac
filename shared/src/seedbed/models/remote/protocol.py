"""A call's tools and schema in the form that a provider's client expects, and the reply back.

    options = options_for(model, "openai:gpt-4o-mini", {"tools": [...], "tool_choice": "any"})
    reply = await model._agenerate(messages, **options)
    message = as_json(message, schema)    # of a structured reply: plain JSON as its text

Tools arrive as OpenAI functions and a schema as JSON schema, whichever provider is called, so a
call can fall back to another provider's model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from seedbed.models.base import StreamingChatModel
from seedbed.models.remote.strict_schema import as_strict, drop_nulls
from seedbed.structured.schemas import Schema

_WRAPPED = "value"  # the property around a schema that is not an object


def options_for(model: BaseChatModel, spec: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for `model._agenerate`, made of the neutral `options` of a call."""
    options = {name: value for name, value in options.items() if name != "timeout"}
    if isinstance(model, StreamingChatModel):  # ours, which takes them as they are
        return options
    provider = spec.partition(":")[0]
    tools, choice = options.pop("tools", None), options.pop("tool_choice", "auto")
    schema = options.pop("schema", None)
    if tools:
        choice = None if choice == "auto" else choice
        if choice == "none" and provider == "anthropic":
            choice = {"type": "none"}
        options |= _bound_tools(model, tools, choice)
    if schema is None:
        return options
    wrapped = _as_object(schema)
    if provider == "openai":
        # In `extra_body`, as the client would otherwise parse the reply itself and raise errors
        # that hide its usage.
        body = {"response_format": _response_format(wrapped)}
        return options | {"extra_body": {**options.get("extra_body", {}), **body}}
    if provider == "ollama":
        return options | {"format": wrapped}
    # Every other provider: a tool that must be called, whose arguments are the reply.
    name = _name(wrapped)
    function = {"name": name, "description": "Gives the answer.", "parameters": wrapped}
    tool = {"type": "function", "function": function}
    return options | _bound_tools(model, [tool], name)


def as_json(message: AIMessage, schema: Schema) -> AIMessage:
    """The message with the JSON of a structured reply as its text, without fence and wrapper.

    A reply that is not JSON stays as it is, for the error message of `parse_reply`.
    """
    if message.tool_calls:
        value: Any = message.tool_calls[0]["args"]
    else:
        text = str(message.text)
        fenced = re.fullmatch(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", text, re.DOTALL)
        try:
            value = json.loads(fenced[1] if fenced else text)
        except ValueError:
            return message
    wrapped = _as_object(schema)
    value = drop_nulls(value, wrapped)
    if wrapped is not schema and isinstance(value, dict) and value.keys() == {_WRAPPED}:
        value = value[_WRAPPED]
    text = json.dumps(value, ensure_ascii=False)
    return message.model_copy(update={"content": text, "tool_calls": []})


def _bound_tools(model: BaseChatModel, tools: list[Schema], choice: Any) -> dict[str, Any]:
    bound: Any = model.bind_tools(tools, tool_choice=choice)
    return dict(bound.kwargs)


def _as_object(schema: Schema) -> Schema:
    """The schema itself, or an object around one of another type, which vendors refuse."""
    if schema.get("type") == "object":
        return schema
    inner = {key: part for key, part in schema.items() if key not in ("$defs", "title")}
    shared = {key: schema[key] for key in ("$defs", "title") if key in schema}
    return shared | {
        "type": "object",
        "properties": {_WRAPPED: inner},
        "required": [_WRAPPED],
        "additionalProperties": False,
    }


def _response_format(schema: Schema) -> Schema:
    strict = as_strict(schema)
    form = {"name": _name(schema), "schema": strict or schema, "strict": strict is not None}
    return {"type": "json_schema", "json_schema": form}


def _name(schema: Schema) -> str:
    """A name that vendors allow, `^[a-zA-Z0-9_-]{1,64}$`."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", str(schema.get("title", "")))[:64] or "reply"
