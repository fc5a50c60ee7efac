"""What OpenAI's chat completions refuse, with its status, wording, `param` and `code`.

Parameters and types: https://developers.openai.com/api/reference/resources/chat (and the same
texts in the package `openai`, `types/chat/completion_create_params.py`). The wording of each error
is in `openai_refusals.tsv` with its source, mostly an issue, as the vendor documents none.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from seedbed.testing.vendor.request import (
    Refusals,
    count_tokens,
    fields,
    first_violation,
    image_format,
    one_of,
    schema_problem,
    texts,
    unknown_fields,
)
from seedbed.testing.vendor.strict_schema import openai_strict_problem, subschemas

# Context window and output limit in tokens: https://developers.openai.com/api/docs/models
LIMITS = {
    "gpt-4o": (128_000, 16_384),
    "gpt-4.1": (1_047_576, 32_768),
    "o": (200_000, 100_000),
    "gpt": (400_000, 128_000),
}
_TEXT = {"type": "string"}
_NAME = {"type": "string", "maxLength": 64, "pattern": "^[a-zA-Z0-9_-]+$"}
_FREE = {"type": "object"}
_FLAG = {"type": ["boolean", "null"]}
_OPTIONAL = {"type": ["object", "null"]}
_OPTIONAL_TEXT = {"type": ["string", "null"]}


def _number(low: float, high: float, kind: str = "number") -> dict[str, Any]:
    return {"type": [kind, "null"], "minimum": low, "maximum": high}


def _content(*, nullable: bool = False, **parts: dict[str, Any]) -> dict[str, Any]:
    kinds = ["string", "array", *(["null"] if nullable else [])]
    return {"type": kinds, "minItems": 1, "items": one_of("type", **parts)}


_IMAGE = fields("url", url=_TEXT, detail={"enum": ["auto", "low", "high", "original"]})
_TEXT_PART = fields("text", text=_TEXT)
_CALL = (
    fields(  # ids of more than 40 characters: https://github.com/openai/openai-python/issues/2115
        "id type function",
        id={"type": "string", "maxLength": 40},
        type={"enum": ["function"]},
        function=fields("name arguments", name=_NAME, arguments=_TEXT),
    )
)
_MESSAGES = {
    "system": fields("content", content=_content(text=_TEXT_PART), name=_TEXT),
    "developer": fields("content", content=_content(text=_TEXT_PART), name=_TEXT),
    "user": fields(
        "content",
        content=_content(
            text=_TEXT_PART,
            image_url=fields("image_url", image_url=_IMAGE),
            input_audio=fields("input_audio", input_audio=_FREE),
            file=fields("file", file=_FREE),
        ),
        name=_TEXT,
    ),
    "assistant": fields(
        content=_content(nullable=True, text=_TEXT_PART, refusal=fields("refusal", refusal=_TEXT)),
        refusal=_OPTIONAL_TEXT,
        tool_calls={"type": "array", "minItems": 1, "maxItems": 128, "items": _CALL},
        name=_TEXT,
        audio=_FREE,
        function_call=_FREE,
    ),
    "tool": fields("content tool_call_id", content=_content(text=_TEXT_PART), tool_call_id=_TEXT),
    "function": fields("content name", content=_OPTIONAL_TEXT, name=_TEXT),
}
_TOOL = one_of(
    "type",
    function=fields(
        "function",
        function=fields("name", name=_NAME, description=_TEXT, parameters=_FREE, strict=_FLAG),
    ),
    custom=fields("custom", custom=_FREE),
)
_FORMAT = one_of(
    "type",
    text=fields(),
    json_object=fields(),
    json_schema=fields(
        "json_schema",
        json_schema=fields("name", name=_NAME, description=_TEXT, schema=_FREE, strict=_FLAG),
    ),
)
_EFFORTS = [None, "none", "minimal", "low", "medium", "high", "xhigh", "max"]
REQUEST = fields(
    "model messages",
    model=_TEXT,
    messages={"type": "array", "minItems": 1, "items": one_of("role", **_MESSAGES)},
    stream=_FLAG,
    stream_options=fields(include_usage=_FLAG, include_obfuscation=_FLAG),
    temperature=_number(0, 2),
    top_p=_number(0, 1),
    frequency_penalty=_number(-2, 2),
    presence_penalty=_number(-2, 2),
    n=_number(1, 128, "integer"),
    max_tokens=_number(1, 2**31, "integer"),
    max_completion_tokens=_number(1, 2**31, "integer"),
    seed=_number(-(2**63), 2**63, "integer"),
    logprobs=_FLAG,
    top_logprobs=_number(0, 20, "integer"),
    logit_bias={"type": ["object", "null"]},
    stop={"type": ["string", "array", "null"], "maxItems": 4, "items": _TEXT},
    tools={"type": "array", "minItems": 1, "maxItems": 128, "items": _TOOL},
    tool_choice={"type": ["string", "object"]},
    parallel_tool_calls={"type": "boolean"},
    functions={"type": "array", "minItems": 1, "maxItems": 128},
    function_call={"type": ["string", "object"]},
    response_format=_FORMAT,
    reasoning_effort={"enum": _EFFORTS},
    verbosity={"enum": [None, "low", "medium", "high"]},
    service_tier={"enum": [None, "auto", "default", "flex", "scale", "priority", "fast"]},
    user=_TEXT,
    safety_identifier=_OPTIONAL_TEXT,
    prompt_cache_key=_OPTIONAL_TEXT,
    prompt_cache_retention=_OPTIONAL_TEXT,
    metadata={"type": ["object", "null"], "maxProperties": 16, "additionalProperties": _TEXT},
    modalities={"type": ["array", "null"], "items": {"enum": ["text", "audio"]}},
    store=_FLAG,
    audio=_OPTIONAL,
    moderation=_OPTIONAL,
    prediction=_OPTIONAL,
    prompt_cache_options=_OPTIONAL,
    web_search_options=_OPTIONAL,
)


_NOUNS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a decimal",
    "boolean": "a boolean",
    "array": "an array",
    "object": "an object",
}
_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}
_REASONING = re.compile(r"(o\d|gpt-([5-9]|\d\d))(?!.*chat)")
# Defaults of parameters of sampling, the only values that reasoning models accept.
# https://developers.openai.com/api/docs/guides/latest-model (parameter compatibility)
_SAMPLING = {"top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False}

refusals = Refusals("openai_refusals.tsv")
refuse = refusals.fault


def limits(model: str) -> tuple[int, int]:
    """The context window and the output limit of a model, in tokens."""
    return next((LIMITS[start] for start in LIMITS if model.startswith(start)), LIMITS["gpt"])


def check_key(headers: dict[str, str], key: str) -> None:
    """Raise the Fault for a missing or wrong key."""
    scheme, _, sent = headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not sent:
        raise refuse("no_key")
    if sent != key:
        raise refuse("401", key=f"{sent[:4]}{'*' * 8}{sent[-4:]}")


def check(body: Any, models: dict[str, int]) -> None:
    """Raise the Fault of a request that OpenAI refuses; `models` are the context windows."""
    if not isinstance(body, dict):
        raise refuse("not_json")
    _check_shape(body)
    if body["model"] not in models:
        raise refuse("404", model=body["model"])
    _check_conversation(body["messages"])
    _check_images(body["messages"])
    _check_tools(body)
    _check_response_format(body)
    _check_model_family(body)
    _check_lengths(body, models[body["model"]])


def _check_shape(body: dict[str, Any]) -> None:
    error = first_violation(REQUEST, body)
    if error is None:
        return
    rule = str(error.validator)
    value: Any = error.instance
    limit: Any = error.validator_value
    param = re.sub(r"\.(\d+)", r"[\1]", ".".join(map(str, error.absolute_path)))
    if rule == "additionalProperties":
        names = ", ".join(unknown_fields(error))
        raise refuse(rule if param else "unknown_argument", param=param, names=names)
    if rule == "required":
        missing = next(name for name in limit if name not in value)
        raise refuse(rule, param=f"{param}.{missing}".lstrip("."))
    if rule == "type" and value is None and param.endswith("content"):
        raise refuse("null_content", param=param.replace("[", ".["))
    kind = _KINDS.get(type(value), "object")
    expected = ""
    if rule == "type":
        kinds = [limit] if isinstance(limit, str) else limit
        expected = " or ".join(_NOUNS[name] for name in kinds if name != "null")
    elif rule == "enum":
        expected = ", ".join(f"'{item}'" for item in limit if item is not None)
    raise refuse(
        rule,
        param=param,
        limit=limit,
        value=value,
        expected=expected,
        got="null" if value is None else _NOUNS[kind],
        kind="decimal" if kind == "number" else kind,
        length=len(value) if isinstance(value, str | list | dict) else 0,
    )


def _check_conversation(messages: list[dict[str, Any]]) -> None:
    """Results must follow their calls at once, one for each."""
    open_ids: list[str] = []
    after_call = False
    for position, message in enumerate([*messages, {"role": "end"}]):
        if message["role"] == "tool":
            if not after_call:
                raise refuse("result_without_call", position=position)
            if message["tool_call_id"] not in open_ids:
                raise refuse("result_of_other_call", position=position, id=message["tool_call_id"])
            open_ids.remove(message["tool_call_id"])
            continue
        if open_ids:
            raise refuse("call_without_result", position=position, ids=", ".join(open_ids))
        open_ids = [call["id"] for call in message.get("tool_calls", [])]
        after_call = bool(open_ids)
        has_content = message.get("content") is not None or after_call or message.get("refusal")
        if message["role"] == "assistant" and not has_content and "function_call" not in message:
            raise refuse("null_content", param=f"messages.[{position}].content")


def _check_images(messages: list[dict[str, Any]]) -> None:
    """https://developers.openai.com/api/docs/guides/images-vision (image input requirements)"""
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else []:
            if part["type"] == "image_url":
                _check_image_url(part["image_url"]["url"])


def _check_image_url(url: str) -> None:
    if not url.startswith("data:"):
        address = urlsplit(url)
        host = address.hostname or ""
        if address.scheme not in ("http", "https") or not host:
            raise refuse("image_url")
        if host == "localhost" or host.startswith("127."):  # the vendor downloads the image
            raise refuse("image_download", url=url)
        return
    header, _, data = url.partition(",")
    try:
        name = header.endswith(";base64") and image_format(data)
    except ValueError:
        raise refuse("image_base64") from None
    if not name:
        raise refuse("image_format")


def _check_tools(body: dict[str, Any]) -> None:
    """https://developers.openai.com/api/docs/guides/function-calling"""
    for param in ("tool_choice", "parallel_tool_calls"):
        if param in body and "tools" not in body:
            raise refuse("without_tools", param=param)
    tools = [tool["function"] for tool in body.get("tools", []) if tool["type"] == "function"]
    names = [tool["name"] for tool in tools]
    # Undocumented for chat completions, where the reply could not tell such tools apart.
    if len(set(names)) < len(names):
        raise refuse("duplicate_tools")
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, str):
        if choice not in ("none", "auto", "required"):
            expected = "'none', 'auto', 'required'"
            raise refuse("enum", param="tool_choice", value=choice, expected=expected)
    elif choice.get("type") == "function":
        name = choice.get("function", {}).get("name")
        if name not in names:
            raise refuse("choice_of_no_tool", name=name)
    for position, tool in enumerate(tools):
        if problem := _parameters_problem(tool):
            raise refuse("tool_schema", name=tool["name"], problem=problem, position=position)


def _parameters_problem(tool: dict[str, Any]) -> str | None:
    schema = tool.get("parameters")
    if schema is None:
        return None
    if schema.get("type") != "object":
        kind = schema.get("type", "None")
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    if {"oneOf", "anyOf", "allOf", "enum", "not"} & set(schema):
        return (
            "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at"
            " the top level."
        )
    if problem := schema_problem(schema):
        return problem
    if tool.get("strict"):
        return openai_strict_problem(schema)
    for path, part in subschemas(schema):
        if part.get("type") == "array" and "items" not in part:
            return f"In context={path}, array schema missing items."
    return None


def _check_response_format(body: dict[str, Any]) -> None:
    """https://developers.openai.com/api/docs/guides/structured-outputs"""
    expected = body.get("response_format", {"type": "text"})
    if expected["type"] == "json_object":
        contents = texts([message.get("content") for message in body["messages"]])
        if "json" not in " ".join(contents).lower():
            raise refuse("word_json")
    if expected["type"] == "json_schema":
        form = expected["json_schema"]
        problem = schema_problem(form.get("schema", {}))
        if form.get("strict") and not problem:
            problem = openai_strict_problem(form.get("schema", {}))
        if problem:
            raise refuse("format_schema", name=form["name"], problem=problem)


def _check_model_family(body: dict[str, Any]) -> None:
    """https://developers.openai.com/api/docs/guides/latest-model (parameter compatibility)"""
    model, sent = body["model"], {key for key, value in body.items() if value is not None}
    if not _REASONING.match(model):
        if "reasoning_effort" in sent:
            raise refuse("unknown_argument", names="reasoning_effort")
        return
    if "max_tokens" in sent:
        raise refuse("max_tokens")
    never = ["functions", "function_call", "logit_bias", "top_logprobs", "stop"]
    for param in [*never, *(["parallel_tool_calls"] if model.startswith("o") else [])]:
        if param in sent:
            raise refuse("unsupported", param=param)
    if re.match(r"gpt-(5\.\d|[6-9])", model) and body.get("reasoning_effort") == "none":
        return  # without reasoning, these models take the parameters of sampling
    if body.get("temperature") not in (None, 1):
        raise refuse("temperature", value=body["temperature"])
    for param, default in _SAMPLING.items():
        if body.get(param) not in (None, default):
            raise refuse("unsupported", param=param)


def _check_lengths(body: dict[str, Any], context: int) -> None:
    if body.get("stream_options") and not body.get("stream"):
        raise refuse("stream_options")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise refuse("top_logprobs")
    if body.get("max_tokens") and body.get("max_completion_tokens"):
        raise refuse("two_limits")
    most = limits(body["model"])[1]
    for param in ("max_tokens", "max_completion_tokens"):
        if (body.get(param) or 0) > most:
            raise refuse("output_limit", param=param, value=body[param], limit=most)
    tokens = count_tokens([body["messages"], body.get("tools")])
    if tokens > context:
        raise refuse("context_length", limit=context, tokens=tokens)
