"""A call's tools, schema and token limit in the form of a provider's client, and the reply back.

    model, options = call_arguments(model, spec, {"tools": [...], "tool_choice": "any"})
    reply = await model._agenerate(messages, **options)
    message = as_json(message, schema)    # of a structured reply: plain JSON as its text

Tools arrive as OpenAI functions and a schema as JSON schema, whichever provider is called, so a
call can fall back to another provider's model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage

from seedbed.errors import InvalidReply
from seedbed.models.base import StreamingChatModel
from seedbed.models.weights.catalog import Spec
from seedbed.structured.reply_text import find_json
from seedbed.structured.validator import Schema

_WRAPPED = "value"  # the property around a schema that is not an object
_TOKEN_LIMITS = ("max_tokens", "max_output_tokens", "num_predict")  # fields of the integrations


def call_arguments(
    model: BaseChatModel, spec: Spec, options: Mapping[str, Any], rejected: Collection[str] = ()
) -> tuple[BaseChatModel, dict[str, Any]]:
    """The model and the keyword arguments of `_agenerate`, made of a call's neutral `options`.

    Without the parameters that the model has `rejected` before.
    """
    options = {k: v for k, v in options.items() if k not in rejected and k != "timeout"}
    if isinstance(model, StreamingChatModel):  # ours, which takes them as they are
        return model, options
    fields: dict[str, Any] = dict.fromkeys(set(rejected) & set(type(model).model_fields))
    if (limit := options.pop("max_tokens", None)) is not None:
        names = [name for name in _TOKEN_LIMITS if name in type(model).model_fields]
        fields |= dict.fromkeys(names[:1], limit)
    model = model.model_copy(update=fields) if fields else model
    tools, choice = options.pop("tools", None), options.pop("tool_choice", "auto")
    schema = options.pop("schema", None)
    if tools:
        choice = None if choice == "auto" else choice
        if choice == "none" and spec.provider == "anthropic":
            choice = {"type": "none"}
        options |= _bound_tools(model, tools, choice)
    return model, options if schema is None else options | _schema_options(model, spec, schema)


def _schema_options(model: BaseChatModel, spec: Spec, schema: Schema) -> dict[str, Any]:
    wrapped = _as_object(schema)
    # A name that vendors allow, `^[a-zA-Z0-9_-]{1,64}$`.
    name = re.sub(r"[^a-zA-Z0-9_-]+", "_", str(wrapped.get("title", "")))[:64] or "reply"
    if spec.provider in ("openai", "azure_openai"):
        # Not strict, a mode that allows few schemas: the reply is validated anyway. In
        # `extra_body`, as the client would otherwise parse the reply itself and raise errors that
        # hide its usage.
        form = {"name": name, "schema": wrapped, "strict": False}
        return {"extra_body": {"response_format": {"type": "json_schema", "json_schema": form}}}
    if spec.provider == "ollama":
        return {"format": wrapped}
    # Every other provider: a tool that must be called, whose arguments are the reply.
    function = {"name": name, "description": "Gives the answer.", "parameters": wrapped}
    return _bound_tools(model, [{"type": "function", "function": function}], name)


def as_json(message: AIMessage, schema: Schema) -> AIMessage:
    """The message with the JSON of a structured reply as its text, without fence and wrapper.

    A reply that is not JSON stays as it is, for the error message of `parse_reply`.
    """
    if message.tool_calls:
        value: Any = message.tool_calls[0]["args"]
    else:
        try:
            value = find_json(str(message.text))
        except InvalidReply:
            return message
    wrapped = _as_object(schema)
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
