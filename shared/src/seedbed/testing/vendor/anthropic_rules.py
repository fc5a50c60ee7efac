"""What Anthropic's Messages API refuses, with its status, error type and wording.

Parameters: https://platform.claude.com/docs/en/api/messages (and the package `anthropic`,
`types/message_create_params.py`). Errors: https://platform.claude.com/docs/en/api/errors. The
wording of an error is quoted from the issue named beside the rule.
"""

from __future__ import annotations

import re
from typing import Any

from seedbed.testing.vendor.request import (
    Fault,
    count_tokens,
    fields,
    first_violation,
    image_format,
    one_of,
    schema_problem,
    unknown_fields,
)
from seedbed.testing.vendor.strict_schema import anthropic_strict_problem

# https://platform.claude.com/docs/en/api/errors
ERRORS = {
    "401": Fault(401, "invalid x-api-key", "authentication_error"),
    "403": Fault(
        403,
        "Your API key does not have permission to use the specified resource.",
        "permission_error",
    ),
    "404": Fault(404, "model: claude-unknown", "not_found_error"),
    "429": Fault(
        429, "This request would exceed your organization's rate limit.", "rate_limit_error"
    ),
    "insufficient_quota": Fault(
        400, "Your credit balance is too low to access the Anthropic API. Please purchase credits."
    ),
    "500": Fault(500, "Internal server error", "api_error"),
    "503": Fault(503, "Service unavailable", "api_error"),
    "529": Fault(529, "Overloaded", "overloaded_error"),
}
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


def version(model: str) -> tuple[int, int]:
    """The version in a model's name; without a number it counts as the newest.

    >>> version("claude-sonnet-4-5-20250929"), version("claude-opus-5")
    ((4, 5), (5, 0))
    """
    found = re.match(r"claude-[a-z]+-(\d+)(?:-(\d{1,2})(?!\d))?", model)
    return (int(found[1]), int(found[2] or 0)) if found else (99, 0)


def limits(model: str) -> tuple[int, int]:
    """The context window and the output limit of a model, in tokens.

    https://platform.claude.com/docs/en/about-claude/models/overview
    """
    return (200_000, 64_000) if version(model) < (4, 6) else (1_000_000, 128_000)


def check_key(headers: dict[str, str], key: str) -> None:
    """Refuse a missing or wrong key: https://platform.claude.com/docs/en/api/overview"""
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    if not (sent := headers.get("x-api-key") or bearer):
        raise Fault(401, "x-api-key header is required", "authentication_error")
    if sent != key:
        raise Fault(401, "invalid x-api-key", "authentication_error")
    if "anthropic-version" not in headers:
        raise Fault(400, "anthropic-version: header is required")


def check(body: Any, models: dict[str, int]) -> None:
    """Raise the Fault of a request that Anthropic refuses; `models` are the context windows."""
    if not isinstance(body, dict):
        raise Fault(400, "The request body is not valid JSON")
    _check_shape(body)
    name = body["model"]
    if name not in models:
        raise Fault(404, f"model: {name}", "not_found_error")
    _check_roles(body["messages"], version(name))
    _check_texts(body)
    _check_tool_results(body["messages"])
    _check_images(body["messages"])
    _check_tools(body)
    _check_model_family(body)
    _check_lengths(body, models[name])


def _check_shape(body: dict[str, Any]) -> None:
    """Types, ranges and names: https://github.com/langchain-ai/langchain/issues/31208"""
    error = first_violation(REQUEST, body)
    if error is None:
        return
    at: list[str] = []
    part: Any = body
    for step in error.absolute_path:
        part = part[step]
        at.append(str(step))
        if isinstance(part, dict) and step != "messages" and "messages" not in at[-2:]:
            kind = "custom" if at[0] == "tools" and len(at) == 2 else part.get("type")
            at += [kind] if isinstance(kind, str) and kind != "object" else []
    value: Any = error.instance
    limit: Any = error.validator_value
    kinds = [limit] if isinstance(limit, str) else limit
    nouns = {"object": "dictionary", "array": "list", "boolean": "boolean"}
    match str(error.validator):
        case "additionalProperties":
            at.append(unknown_fields(error)[0])
            message = "Extra inputs are not permitted"
        case "required":
            at.append(next(name for name in limit if name not in value))
            message = "Field required"
        case "type":
            message = f"Input should be a valid {nouns.get(kinds[0], kinds[0])}"
        case "enum":
            message = f"Input should be {' or '.join(repr(item) for item in limit if item)}"
        case "pattern":  # https://github.com/apify/tester-mcp-client/issues/11
            message = f"String should match pattern '{limit}'"
        case "minItems":
            message = "at least one message is required"
        case "minimum":
            message = f"Input should be greater than or equal to {limit}"
        case _:
            message = f"Input should be less than or equal to {limit}"
    raise Fault(400, f"{'.'.join(at)}: {message}")


def _check_roles(messages: list[dict[str, Any]], model: tuple[int, int]) -> None:
    """https://platform.claude.com/docs/en/build-with-claude/working-with-messages"""
    roles = [message["role"] for message in messages]
    for position, role in enumerate(roles):
        if role == "system":
            # https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
            before = roles[position - 1] if position else ""
            after = roles[position + 1] if position + 1 < len(roles) else "assistant"
            if model < (4, 8) or before != "user" or after != "assistant":
                # https://github.com/ianarawjo/ChainForge/issues/271
                raise Fault(
                    400,
                    'messages: Unexpected role "system". The Messages API accepts a top-level'
                    ' `system` parameter, not "system" as an input message role.',
                )
        elif role not in ("user", "assistant"):
            text = "Input should be 'user' or 'assistant'"
            raise Fault(400, f"messages.{position}.role: {text}")
    if roles[0] != "user":
        raise Fault(400, 'messages: first message must use the "user" role')
    if roles[-1] == "assistant" and model >= (4, 6):
        # https://platform.claude.com/docs/en/api/errors#prefill-not-supported
        raise Fault(
            400,
            "This model does not support assistant message prefill. The conversation must end with"
            " a user message.",
        )


def _blocks_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _check_texts(body: dict[str, Any]) -> None:
    messages = body["messages"]
    final = messages[-1] if messages[-1]["role"] == "assistant" else None
    for position, message in enumerate(messages):
        if not message["content"] and message is not final:
            # https://github.com/anthropics/claude-code/issues/6774
            raise Fault(
                400,
                f"messages.{position}: all messages must have non-empty content except for the"
                " optional final assistant message",
            )
    system = [{"content": body["system"]}] if body.get("system") else []
    for field, group in (("messages", messages), ("system", system)):
        for message in group:
            for block in _blocks_of(message):
                # https://github.com/home-assistant/core/issues/175637
                if block["type"] == "text" and not block["text"].strip() and message["content"]:
                    rule = "contain non-whitespace text" if block["text"] else "be non-empty"
                    raise Fault(400, f"{field}: text content blocks must {rule}")
    if final and final["content"]:
        last = _blocks_of(final)[-1]
        # https://github.com/tailcallhq/forgecode/issues/1872
        if last["type"] == "text" and last["text"] != last["text"].rstrip():
            text = "final assistant content cannot end with trailing whitespace"
            raise Fault(400, f"messages: {text}")


def _check_tool_results(messages: list[dict[str, Any]]) -> None:
    """Results first in the message after the calls, exactly one for each.

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
        results = [block["type"] == "tool_result" for block in blocks]
        leading = results.index(False) if False in results else len(results)
        ids = [block["tool_use_id"] for block in blocks[:leading]] if role == "user" else []
        missing = [call for call in calls if call not in ids]
        if missing:  # https://github.com/anthropics/claude-code/issues/7929
            raise Fault(
                400,
                f"messages.{position - 1}: `tool_use` ids were found without `tool_result` blocks"
                f" immediately after: {', '.join(missing)}. Each `tool_use` block must have a"
                " corresponding `tool_result` block in the next message.",
            )
        for place, block in enumerate(blocks):
            if block["type"] != "tool_result":
                continue
            at, sent = f"messages.{position}.content.{place}", block["tool_use_id"]
            if sent not in calls:  # https://github.com/anthropics/claude-code/issues/13460
                raise Fault(
                    400,
                    f"{at}: unexpected `tool_use_id` found in `tool_result` blocks: {sent}. Each"
                    " `tool_result` block must have a corresponding `tool_use` block in the"
                    " previous message.",
                )
            if ids.count(sent) > 1:
                raise Fault(
                    400,
                    f"{at}: each tool_use must have a single result. Found multiple `tool_result`"
                    f" blocks with id: {sent}",
                )
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if len(set(calls)) < len(calls):
            raise Fault(400, f"messages.{position}.content: `tool_use` ids must be unique")


def _check_images(messages: list[dict[str, Any]]) -> None:
    """https://platform.claude.com/docs/en/build-with-claude/vision"""
    for position, message in enumerate(messages):
        for place, block in enumerate(_blocks_of(message)):
            source = block.get("source", {})
            if block["type"] != "image" or source["type"] != "base64":
                continue
            at = f"messages.{position}.content.{place}.image.source.base64.data"
            try:
                found = image_format(source["data"])
            except ValueError:
                raise Fault(400, f"{at}: invalid base64 data") from None
            if f"image/{found}" != source["media_type"]:
                # https://github.com/anthropics/claude-code/issues/15746
                text = "Image does not match the provided media type"
                raise Fault(400, f"{at}: {text} {source['media_type']}")


def _check_tools(body: dict[str, Any]) -> None:
    """https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools"""
    tools = body.get("tools", [])
    names = [tool["name"] for tool in tools]
    if len(set(names)) < len(names):  # https://github.com/anthropics/claude-code/issues/10687
        raise Fault(400, "tools: Tool names must be unique.")
    choice = body.get("tool_choice", {"type": "auto"})
    if "tool_choice" in body and not tools:
        raise Fault(400, "tool_choice: may only be specified while providing tools")
    if choice["type"] == "tool" and choice["name"] not in names:
        raise Fault(400, f"Tool '{choice['name']}' not found in provided tools")
    for position, tool in enumerate(tools):
        schema = tool.get("input_schema", {"type": "object"})
        at = f"tools.{position}.custom.input_schema"
        if schema.get("type") != "object":
            word = "Input should be 'object'" if "type" in schema else "Field required"
            raise Fault(400, f"{at}.type: {word}")
        if {"oneOf", "allOf", "anyOf"} & set(schema):
            text = "input_schema does not support oneOf, allOf, or anyOf at the top level"
            raise Fault(400, f"{at}: {text}")
        if schema_problem(schema):
            text = "JSON schema is invalid. It must match JSON Schema draft 2020-12"
            raise Fault(400, f"{at}: {text} (https://json-schema.org/draft/2020-12).")
        if tool.get("strict") and (problem := anthropic_strict_problem(schema)):
            raise Fault(400, f"tools.{position}.custom: {problem}")
    form = body.get("output_config", {}).get("format")
    if form:  # https://github.com/agentjido/req_llm/issues/302
        problem = schema_problem(form.get("schema")) or anthropic_strict_problem(form["schema"])
        if problem:
            raise Fault(400, f"output_config.format.schema: {problem}")


def _check_model_family(body: dict[str, Any]) -> None:
    """https://platform.claude.com/docs/en/about-claude/models/migration-guide"""
    model, thinking = version(body["model"]), body.get("thinking", {}).get("type")
    if model >= (4, 7):
        for name, default in (("temperature", 1), ("top_p", 1), ("top_k", None)):
            if body.get(name, default) != default:
                # https://github.com/Comfy-Org/ComfyUI/issues/13923
                raise Fault(400, f"`{name}` is deprecated for this model.")
        if thinking == "enabled":  # https://github.com/NousResearch/hermes-agent/issues/11137
            raise Fault(
                400,
                '"thinking.type.enabled" is not supported for this model. Use'
                ' "thinking.type.adaptive" and "output_config.effort" to control thinking'
                " behavior.",
            )
    elif model >= (4, 1) and {"temperature", "top_p"} <= set(body):
        # https://github.com/cloud-apim/otoroshi-llm-extension/issues/140
        raise Fault(
            400,
            "`temperature` and `top_p` cannot both be specified for this model. Please use only"
            " one.",
        )
    if thinking in ("enabled", "adaptive"):
        # https://platform.claude.com/docs/en/build-with-claude/thinking
        if body.get("temperature", 1) != 1:
            raise Fault(400, "`temperature` may only be set to 1 when thinking is enabled.")
        if body.get("tool_choice", {}).get("type") in ("any", "tool"):
            raise Fault(400, "Thinking may not be enabled when tool_choice forces tool use.")
        if body["thinking"].get("budget_tokens", 0) >= body["max_tokens"]:
            raise Fault(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_lengths(body: dict[str, Any], context: int) -> None:
    """https://platform.claude.com/docs/en/build-with-claude/context-windows"""
    most, name = limits(body["model"])[1], body["model"]
    if body["max_tokens"] > most:
        text = (
            f"{body['max_tokens']} > {most}, which is the maximum allowed number of output tokens"
        )
        raise Fault(400, f"max_tokens: {text} for {name}")
    tokens = count_tokens([body["messages"], body.get("system"), body.get("tools")])
    if tokens > context:  # https://github.com/anthropics/claude-code/issues/12186
        raise Fault(400, f"prompt is too long: {tokens} tokens > {context} maximum")
    if tokens + body["max_tokens"] > context:  # https://github.com/docker/docker-agent/issues/569
        raise Fault(
            400,
            f"input length and `max_tokens` exceed context limit: {tokens} + {body['max_tokens']} >"
            f" {context}, decrease input length or `max_tokens` and try again",
        )
