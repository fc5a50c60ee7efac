"""What Anthropic's Messages API refuses, with its status, error type and wording.

Parameters: https://platform.claude.com/docs/en/api/messages (and the package `anthropic`,
`types/message_create_params.py`). The wording of each error is in `anthropic_refusals.tsv` with its
source: a page of the documentation, or an issue that quotes it.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from seedbed.testing.vendor.request import (
    Refusals,
    count_tokens,
    fields,
    first_violation,
    image_format,
    one_of,
    schema_problem,
    unknown_fields,
)
from seedbed.testing.vendor.strict_schema import anthropic_strict_problem

_TEXT = {"type": "string"}
_FREE = {"type": "object"}
_FLAG = {"type": "boolean"}
_CACHE = {"type": ["object", "null"]}
_ID = {"type": "string", "pattern": "^[a-zA-Z0-9_-]+$"}
_NAME = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,128}$"}
_FORMATS = ["image/jpeg", "image/png", "image/gif", "image/webp"]


def _blocks(**kinds: dict[str, Any]) -> dict[str, Any]:
    return {"type": ["string", "array"], "items": one_of("type", **kinds)}


def _block(required: str = "", **properties: Any) -> dict[str, Any]:
    return fields(required, cache_control=_CACHE, **properties)


_MEDIA = {
    "text": _block("text", text=_TEXT, citations={}),
    "image": _block(
        "source",
        source=one_of(
            "type",
            base64=fields("media_type data", media_type={"enum": _FORMATS}, data=_TEXT),
            url=fields("url", url={"type": "string", "pattern": "^https?://"}),
            file=fields("file_id", file_id=_TEXT),
        ),
    ),
    "document": _FREE,
    "search_result": _FREE,
}
_CONTENT = _blocks(
    **_MEDIA,
    tool_use=_block("id name input", id=_ID, name=_TEXT, input=_FREE, caller=_FREE),
    tool_result=_block("tool_use_id", tool_use_id=_ID, content=_blocks(**_MEDIA), is_error=_FLAG),
    thinking=fields("thinking signature", thinking=_TEXT, signature=_TEXT),
    redacted_thinking=fields("data", data=_TEXT),
    server_tool_use=_FREE,
    web_search_tool_result=_FREE,
)
_TOOL = {
    "if": {"properties": {"type": {"enum": ["custom", None]}}},  # else a tool of the vendor's own
    "then": _block(
        "name input_schema",
        type={},
        name=_NAME,
        description=_TEXT,
        input_schema=_FREE,
        strict=_FLAG,
        eager_input_streaming={},
        defer_loading={},
        input_examples={},
        allowed_callers={},
    ),
}
REQUEST = fields(
    "model max_tokens messages",
    model=_TEXT,
    max_tokens={"type": "integer", "minimum": 1},
    messages={
        "type": "array",
        "minItems": 1,
        "maxItems": 100_000,
        "items": fields("role content", role=_TEXT, content=_CONTENT),
    },
    system=_blocks(text=_MEDIA["text"]),
    stream=_FLAG,
    temperature={"type": "number", "minimum": 0, "maximum": 1},
    top_p={"type": "number", "minimum": 0, "maximum": 1},
    top_k={"type": "integer", "minimum": 0},
    stop_sequences={"type": "array", "items": _TEXT},
    tools={"type": "array", "items": _TOOL},
    tool_choice=one_of(
        "type",
        auto=fields(disable_parallel_tool_use=_FLAG),
        any=fields(disable_parallel_tool_use=_FLAG),
        tool=fields("name", name=_TEXT, disable_parallel_tool_use=_FLAG),
        none=fields(),
    ),
    thinking=one_of(
        "type",
        enabled=fields(
            "budget_tokens", budget_tokens={"type": "integer", "minimum": 1024}, display=_TEXT
        ),
        adaptive=fields(display=_TEXT),
        disabled=fields(),
    ),
    output_config=fields(
        effort={"enum": [None, "low", "medium", "high", "xhigh", "max"]},
        format={"type": ["object", "null"]},
    ),
    metadata=fields(user_id={"type": ["string", "null"]}),
    service_tier={"enum": ["auto", "standard_only"]},
    cache_control={},
    container={},
    diagnostics={},
    inference_geo={},
    speed={},
    user_profile_id={},
)

refusals = Refusals("anthropic_refusals.tsv")
refuse = refusals.fault


def version(model: str) -> tuple[int, int]:
    """The version in a model's name; without a number it counts as the newest.

    >>> version("claude-sonnet-4-5-20250929"), version("claude-opus-5")
    ((4, 5), (5, 0))
    """
    match = re.match(r"claude-[a-z]+-(\d+)(?:-(\d{1,2})(?!\d))?", model)
    return (int(match[1]), int(match[2] or 0)) if match else (99, 0)


def limits(model: str) -> tuple[int, int]:
    """The context window and the output limit of a model, in tokens.

    https://platform.claude.com/docs/en/about-claude/models/overview
    """
    return (200_000, 64_000) if version(model) < (4, 6) else (1_000_000, 128_000)


def check_key(headers: dict[str, str], key: str) -> None:
    """Raise the Fault for a missing or wrong key, or a missing version of the API."""
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    sent = headers.get("x-api-key") or bearer
    if not sent:
        raise refuse("no_key")
    if sent != key:
        raise refuse("401")
    if "anthropic-version" not in headers:
        raise refuse("no_version")


def check(body: Any, models: dict[str, int]) -> None:
    """Raise the Fault of a request that Anthropic refuses; `models` are the context windows."""
    if not isinstance(body, dict):
        raise refuse("not_json")
    _check_shape(body)
    name = body["model"]
    if name not in models:
        raise refuse("404", model=name)
    _check_roles(body["messages"], version(name))
    _check_texts(body)
    _check_tool_results(body["messages"])
    _check_images(body["messages"])
    _check_tools(body)
    _check_model_family(body)
    _check_lengths(body, models[name])


def _check_shape(body: dict[str, Any]) -> None:
    error = first_violation(REQUEST, body)
    if error is None:
        return
    rule = str(error.validator)
    value: Any = error.instance
    limit: Any = error.validator_value
    # The path names the kind of a block: messages.0.content.1.tool_use, tools.0.custom.
    path: list[str] = []
    part: Any = body
    for step in error.absolute_path:
        part = part[step]
        path.append(str(step))
        if isinstance(part, dict) and isinstance(step, int) and path[-2] in ("content", "tools"):
            path.append(str(part.get("type", "custom")))
    expected = ""
    if rule == "additionalProperties":
        path.append(unknown_fields(error)[0])
    elif rule == "required":
        path.append(next(name for name in limit if name not in value))
    elif rule == "type":
        kind = limit if isinstance(limit, str) else limit[0]
        expected = {"object": "dictionary", "array": "list"}.get(kind, kind)
    elif rule == "enum":
        expected = " or ".join(repr(item) for item in limit if item)
    raise refuse(rule, at=".".join(path), expected=expected, limit=limit)


def _check_roles(messages: list[dict[str, Any]], model: tuple[int, int]) -> None:
    roles = [message["role"] for message in messages]
    for position, role in enumerate(roles):
        if role == "system":
            if model < (4, 8):
                raise refuse("system_role")
            if (
                position == 0
                or roles[position - 1] != "user"
                or "user" in roles[position + 1 :][:1]
            ):
                raise refuse("system_place", position=position)
        elif role not in ("user", "assistant"):
            raise refuse("enum", at=f"messages.{position}.role", expected="'user' or 'assistant'")
    if roles[0] != "user":
        raise refuse("first_role")
    if roles[-1] == "assistant" and model >= (4, 6):
        raise refuse("prefill")


def _blocks_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _check_texts(body: dict[str, Any]) -> None:
    messages = body["messages"]
    final = messages[-1] if messages[-1]["role"] == "assistant" else None
    for position, message in enumerate(messages):
        if not message["content"] and message is not final:
            raise refuse("empty_message", position=position)
    system = [{"content": body["system"]}] if body.get("system") else []
    for field, group in (("messages", messages), ("system", system)):
        for message in group:
            for block in _blocks_of(message) if message["content"] else []:
                if block["type"] == "text" and not block["text"].strip():
                    raise refuse("blank_text" if block["text"] else "empty_text", field=field)
    if final and final["content"]:
        last = _blocks_of(final)[-1]
        if last["type"] == "text" and last["text"] != last["text"].rstrip():
            raise refuse("final_whitespace")


def _check_tool_results(messages: list[dict[str, Any]]) -> None:
    """Results must come first in the message after their calls, one for each.

    https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls
    """
    turns: list[tuple[int, str, list[dict[str, Any]]]] = []
    for position, message in enumerate(messages):
        if turns and turns[-1][1] == message["role"]:  # consecutive turns of a role are one
            turns[-1][2].extend(_blocks_of(message))
        else:
            turns.append((position, message["role"], list(_blocks_of(message))))
    calls: list[str] = []
    for position, role, blocks in [*turns, (len(messages), "end", [])]:
        leading = list(itertools.takewhile(lambda block: block["type"] == "tool_result", blocks))
        ids = [block["tool_use_id"] for block in leading] if role == "user" else []
        if missing := [call for call in calls if call not in ids]:
            raise refuse("call_without_result", position=position - 1, ids=", ".join(missing))
        for place, block in enumerate(blocks):
            if block["type"] == "tool_result":
                at, id = f"messages.{position}.content.{place}", block["tool_use_id"]
                if id not in calls:
                    raise refuse("result_without_call", at=at, id=id)
                if ids.count(id) > 1:
                    raise refuse("two_results", at=at, id=id)
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(calls)) < len(calls):
            raise refuse("duplicate_ids", position=position)


def _check_images(messages: list[dict[str, Any]]) -> None:
    """https://platform.claude.com/docs/en/build-with-claude/vision"""
    for position, message in enumerate(messages):
        for place, block in enumerate(_blocks_of(message)):
            source = block.get("source", {})
            if block["type"] != "image" or source["type"] != "base64":
                continue
            at = f"messages.{position}.content.{place}.image.source.base64.data"
            try:
                media_type = image_format(source["data"])
            except ValueError:
                raise refuse("image_base64", at=at) from None
            if f"image/{media_type}" != source["media_type"]:
                raise refuse("image_format", at=at, kind=source["media_type"])


def _check_tools(body: dict[str, Any]) -> None:
    """https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools"""
    tools = body.get("tools", [])
    names = [tool["name"] for tool in tools]
    if len(set(names)) < len(names):
        raise refuse("duplicate_tools")
    choice = body.get("tool_choice", {"type": "auto"})
    if "tool_choice" in body and not tools:
        raise refuse("without_tools")
    if choice["type"] == "tool" and choice["name"] not in names:
        raise refuse("choice_of_no_tool", name=choice["name"])
    for position, tool in enumerate(tools):
        if problem := _tool_problem(tool):
            raise refuse("tool_schema", position=position, problem=problem)
    form = (body.get("output_config") or {}).get("format")
    if form:
        problem = schema_problem(form.get("schema")) or anthropic_strict_problem(form["schema"])
        if problem:
            raise refuse("format_schema", problem=problem)


def _tool_problem(tool: dict[str, Any]) -> str | None:
    schema = tool.get("input_schema", {"type": "object"})
    if schema.get("type") != "object":
        word = "Input should be 'object'" if "type" in schema else "Field required"
        return f"input_schema.type: {word}"
    if {"oneOf", "allOf", "anyOf"} & set(schema):
        return "input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
    if schema_problem(schema):
        return "input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12"
    problem = anthropic_strict_problem(schema) if tool.get("strict") else None
    return f"input_schema: {problem}" if problem else None


def _check_model_family(body: dict[str, Any]) -> None:
    """https://platform.claude.com/docs/en/about-claude/models/migration-guide"""
    model, thinking = version(body["model"]), body.get("thinking", {}).get("type")
    if model >= (4, 7):
        for name, default in (("temperature", 1), ("top_p", 1), ("top_k", None)):
            if body.get(name, default) != default:
                raise refuse("deprecated", name=name)
        if thinking == "enabled":
            raise refuse("thinking_enabled")
    elif model >= (4, 1) and {"temperature", "top_p"} <= set(body):
        raise refuse("two_samplers")
    if thinking in ("enabled", "adaptive"):
        if body.get("temperature", 1) != 1:
            raise refuse("thinking_temperature")
        if body.get("tool_choice", {}).get("type") in ("any", "tool"):
            raise refuse("thinking_choice")
        if body["thinking"].get("budget_tokens", 0) >= body["max_tokens"]:
            raise refuse("thinking_budget")


def _check_lengths(body: dict[str, Any], context: int) -> None:
    """https://platform.claude.com/docs/en/build-with-claude/context-windows"""
    name, size = body["model"], body["max_tokens"]
    most = limits(name)[1]
    if size > most:
        raise refuse("output_limit", value=size, limit=most, model=name)
    tokens = count_tokens([body["messages"], body.get("system"), body.get("tools")])
    if tokens > context:
        raise refuse("prompt_length", tokens=tokens, limit=context)
    if tokens + size > context:
        raise refuse("context_length", tokens=tokens, value=size, limit=context)
