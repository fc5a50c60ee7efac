"""What OpenAI's chat completions refuse, with its status, wording, `param` and `code`.

Parameters and types: https://developers.openai.com/api/reference/resources/chat (and the same
texts in the package `openai`, `types/chat/completion_create_params.py`). The wording of an error is
documented nowhere; it is quoted from the issue named beside the rule.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from seedbed.testing.vendor.request import (
    Fault,
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
# https://developers.openai.com/api/docs/guides/error-codes
ERRORS = {
    "401": Fault(401, "Incorrect API key provided.", code="invalid_api_key"),
    "403": Fault(
        403,
        "Country, region, or territory not supported",
        "request_forbidden",
        "unsupported_country_region_territory",
    ),
    "404": Fault(404, "The model does not exist.", code="model_not_found"),
    "429": Fault(
        429,
        "Rate limit reached on requests per min (RPM): Limit 3, Used 3, Requested 1.",
        "requests",
        "rate_limit_exceeded",
    ),
    "insufficient_quota": Fault(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        "insufficient_quota",
    ),
    "500": Fault(500, "The server had an error while processing your request.", "server_error"),
    "503": Fault(
        503,
        "The engine is currently overloaded, please try again later",
        "service_unavailable_error",
        "server_is_overloaded",
    ),
    "529": Fault(529, "Overloaded", "server_error"),  # not of OpenAI, but of gateways
}

_TEXT = {"type": "string"}
_NAME = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9_-]+$"}
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
    "null": "null",
}
_REASONING = re.compile(r"(o\d|gpt-([5-9]|\d\d))(?!.*chat)")
# Parameters of sampling and their defaults, which alone reasoning models accept.
# https://developers.openai.com/api/docs/guides/latest-model (parameter compatibility)
_SAMPLING = {"top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False}


def check_key(headers: dict[str, str], key: str) -> None:
    """Refuse a missing or wrong key: https://developers.openai.com/api/docs/guides/error-codes"""
    scheme, _, sent = headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not sent:
        raise Fault(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization"
            " header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    if sent != key:
        hidden = f"{sent[:4]}{'*' * 8}{sent[-4:]}"
        raise Fault(401, f"Incorrect API key provided: {hidden}.", code="invalid_api_key")


def check(body: Any, models: dict[str, int]) -> None:
    """Raise the Fault with which OpenAI refuses the request; `models` are the context windows."""
    # https://github.com/openai/openai-python/issues/257
    if not isinstance(body, dict):
        raise Fault(400, "We could not parse the JSON body of your request.")
    _check_shape(body)
    name = body["model"]
    if name not in models:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise Fault(404, message, code="model_not_found")
    _check_conversation(body["messages"])
    _check_images(body["messages"])
    _check_tools(body)
    _check_response_format(body)
    _check_model_family(body)
    _check_lengths(body, models[name])


def _check_shape(body: dict[str, Any]) -> None:
    error = first_violation(REQUEST, body)
    if error is None:
        return
    param = re.sub(r"\.(\d+)", r"[\1]", ".".join(map(str, error.absolute_path)))
    value: Any = error.instance
    limit: Any = error.validator_value
    match str(error.validator):
        case "additionalProperties" if not param:
            # https://github.com/davidmigloz/langchain_dart/issues/712
            names = ", ".join(unknown_fields(error))
            raise Fault(400, f"Unrecognized request argument supplied: {names}")
        case "additionalProperties":
            param = f"{param}.{unknown_fields(error)[0]}"
            code, message = "unknown_parameter", f"Unknown parameter: '{param}'."
        case "required":
            missing = next(name for name in limit if name not in value)
            param = f"{param}.{missing}".lstrip(".")
            code, message = "missing_required_parameter", f"Missing required parameter: '{param}'."
        case "type" if value is None and param.endswith("content"):
            # https://github.com/langchain-ai/langchainjs/issues/4153
            message = "Invalid value for 'content': expected a string, got null."
            raise Fault(400, message, param=param.replace("[", ".["))
        case "type":
            kinds = [limit] if isinstance(limit, str) else limit
            wanted = " or ".join(_NOUNS[kind] for kind in kinds if kind != "null")
            code, got = "invalid_type", _noun(value)
            message = f"Invalid type for '{param}': expected {wanted}, but got {got} instead."
        case "enum":
            values = ", ".join(f"'{item}'" for item in limit if item is not None)
            code = "invalid_value"
            message = f"Invalid value: '{value}'. Supported values are: {values}."
        case "minItems":  # https://github.com/danny-avila/LibreChat/issues/10408
            code = "empty_array"
            message = (
                f"Invalid '{param}': empty array. Expected an array with minimum length {limit},"
                " but got an empty array instead."
            )
        case "maxItems":  # https://github.com/vishalmysore/Tools4AI/issues/16
            code = "array_above_max_length"
            message = (
                f"Invalid '{param}': array too long. Expected an array with maximum length {limit},"
                f" but got an array with length {len(value)} instead."
            )
        case "pattern":  # https://github.com/run-llama/llama_index/issues/16093
            code = "invalid_value"
            message = (
                f"Invalid '{param}': string does not match pattern. Expected a string that matches"
                f" the pattern '{limit}'."
            )
        case "minLength" | "maxLength":
            size, side = ("too long", "max") if value else ("too short", "min")
            code = f"string_{'above' if value else 'below'}_{side}_length"
            message = (
                f"Invalid '{param}': string {size}. Expected a string with {side}imum length"
                f" {limit}, but got a string with length {len(value)} instead."
            )
        case validator:  # minimum, maximum, maxProperties
            code = "invalid_value"
            message = f"Invalid '{param}': expected {validator} {limit}, but got {value} instead."
    raise Fault(400, message, code=code, param=param)


def _noun(value: Any) -> str:
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}
    return _NOUNS[kinds.get(type(value), "object" if isinstance(value, dict) else "null")]


def _check_conversation(messages: list[dict[str, Any]]) -> None:
    """Each result after its call, and a result for each call.

    https://developers.openai.com/api/docs/guides/function-calling
    https://github.com/microsoft/promptflow/pull/3130, https://github.com/aliasrobotics/cai/issues/111
    """
    open_ids: list[str] = []
    after_call = False
    for position, message in enumerate([*messages, {"role": "end"}]):
        at = f"messages.[{position}]"
        if message["role"] == "tool":
            if not after_call:
                raise Fault(
                    400,
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding"
                    " message with 'tool_calls'.",
                    param=f"{at}.role",
                )
            if message["tool_call_id"] not in open_ids:
                raise Fault(
                    400,
                    f"Invalid parameter: 'tool_call_id' of '{message['tool_call_id']}' not found in"
                    " 'tool_calls' of previous message.",
                    param=f"{at}.tool_call_id",
                )
            open_ids.remove(message["tool_call_id"])
            continue
        if open_ids:
            raise Fault(
                400,
                "An assistant message with 'tool_calls' must be followed by tool messages"
                " responding to each 'tool_call_id'. The following tool_call_ids did not have"
                f" response messages: {', '.join(open_ids)}",
                param=f"{at}.role",
            )
        open_ids = [call["id"] for call in message.get("tool_calls", [])]
        after_call = bool(open_ids)
        empty = message.get("content") is None and not (open_ids or message.get("refusal"))
        if message["role"] == "assistant" and empty and "function_call" not in message:
            text = "Invalid value for 'content': expected a string, got null."
            raise Fault(400, text, param=f"{at}.content")


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
            message = (
                "Invalid image URL: expected a valid URL, but got a value with an invalid format."
            )
            raise Fault(400, message, code="invalid_image_url")
        if host == "localhost" or host.startswith("127."):  # the vendor downloads it
            raise Fault(400, f"Error while downloading {url}.", code="invalid_image_url")
        return
    header, _, data = url.partition(",")
    try:
        known = image_format(data) if header.endswith(";base64") else None
    except ValueError:
        raise Fault(400, "Invalid base64 image_url.", code="invalid_base64") from None
    if known is None:  # https://github.com/openai/openai-node/issues/1463
        raise Fault(
            400,
            "You uploaded an unsupported image. Please make sure your image has of one the"
            " following formats: ['png', 'jpeg', 'gif', 'webp'].",
            code="invalid_image_format",
        )


def _check_tools(body: dict[str, Any]) -> None:
    """https://developers.openai.com/api/docs/guides/function-calling"""
    tools = [tool["function"] for tool in body.get("tools", []) if tool["type"] == "function"]
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in body and "tools" not in body:
            # https://github.com/dapr/dapr-agents/issues/248, https://github.com/openai/swarm/issues/30
            message = (
                f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
            )
            raise Fault(400, message, param=name)
    names = [tool["name"] for tool in tools]
    # Undocumented for chat completions: clients cannot tell such tools apart, so no request should
    # have them; gateways and Anthropic refuse them. https://github.com/dataelement/Clawith/issues/251
    if len(set(names)) < len(names):
        raise Fault(400, "Tool names must be unique.", param="tools")
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, dict):
        name = choice.get("function", {}).get("name")
        if choice.get("type") == "function" and name not in names:
            message = (
                f"Invalid value for 'tool_choice': no function named '{name}' was specified in"
            )
            raise Fault(400, f"{message} the 'tools' parameter.", param="tool_choice")
    elif choice not in ("none", "auto", "required"):
        message = f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', 'required'."
        raise Fault(400, message, code="invalid_value", param="tool_choice")
    for position, tool in enumerate(tools):
        problem = _parameters_problem(tool)
        if problem:
            raise Fault(
                400,
                f"Invalid schema for function '{tool['name']}': {problem}",
                code="invalid_function_parameters",
                param=f"tools[{position}].function.parameters",
            )


def _parameters_problem(tool: dict[str, Any]) -> str | None:
    schema = tool.get("parameters")
    if schema is None:
        return None
    # https://github.com/chatanywhere/GPT_API_free/issues/403
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
    wanted = body.get("response_format", {"type": "text"})
    if wanted["type"] == "json_object":  # https://github.com/ultimatejimmy/xray.koplugin/issues/33
        contents = [message.get("content") for message in body["messages"]]
        if "json" not in " ".join(texts(contents)).lower():
            raise Fault(
                400,
                "'messages' must contain the word 'json' in some form, to use 'response_format' of"
                " type 'json_object'.",
                param="messages",
            )
    if wanted["type"] == "json_schema":
        form = wanted["json_schema"]
        schema = form.get("schema", {})
        problem = schema_problem(schema)
        if form.get("strict") and not problem:
            problem = openai_strict_problem(schema)
        if problem:  # https://github.com/moeru-ai/xsai/issues/202
            message = f"Invalid schema for response_format '{form['name']}': {problem}"
            raise Fault(400, message, param="response_format")


def _check_model_family(body: dict[str, Any]) -> None:
    """Parameters that reasoning models do not take, and those that only they take.

    https://developers.openai.com/api/docs/guides/latest-model (parameter compatibility),
    https://github.com/HIllya51/LunaTranslator/issues/1842
    """
    name, sent = body["model"], {key for key, value in body.items() if value is not None}
    reasons = _REASONING.match(name)
    if "reasoning_effort" in sent and not reasons:
        # https://github.com/davidmigloz/langchain_dart/issues/712
        raise Fault(400, "Unrecognized request argument supplied: reasoning_effort")
    if not reasons:
        return
    if "max_tokens" in sent:  # https://github.com/fish2018/YPrompt/issues/26
        _unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    for parameter in ("functions", "function_call", "logit_bias", "top_logprobs", "stop"):
        if parameter in sent:
            _unsupported(parameter)
    if name.startswith("o") and "parallel_tool_calls" in sent:
        _unsupported("parallel_tool_calls")
    if re.match(r"gpt-(5\.\d|[6-9])", name) and body.get("reasoning_effort") == "none":
        return  # without reasoning, gpt-5.1 and later take the parameters of sampling
    if body.get("temperature") not in (
        None,
        1,
    ):  # https://github.com/gabrii/Cursor-Azure-GPT-5/issues/33
        raise Fault(
            400,
            f"Unsupported value: 'temperature' does not support {body['temperature']} with this"
            " model. Only the default (1) value is supported.",
            code="unsupported_value",
            param="temperature",
        )
    for parameter, default in _SAMPLING.items():
        if body.get(parameter) not in (None, default):
            _unsupported(parameter)


def _unsupported(parameter: str, hint: str = "") -> None:
    message = f"Unsupported parameter: '{parameter}' is not supported with this model.{hint}"
    raise Fault(400, message, code="unsupported_parameter", param=parameter)


def limits(model: str) -> tuple[int, int]:
    """The context window and the output limit of a model, in tokens."""
    return next((LIMITS[start] for start in LIMITS if model.startswith(start)), LIMITS["gpt"])


def _check_lengths(body: dict[str, Any], context: int) -> None:
    if body.get("stream_options") and not body.get("stream"):
        # https://github.com/BerriAI/litellm/issues/5803
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise Fault(400, message, param="stream_options")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        message = "'logprobs' must be set to true when 'top_logprobs' is used."
        raise Fault(400, message, param="top_logprobs")
    if None not in (body.get("max_tokens"), body.get("max_completion_tokens")):
        message = (
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        )
        raise Fault(400, message, code="invalid_parameter_combination", param="max_tokens")
    most = limits(body["model"])[1]
    for name in ("max_tokens", "max_completion_tokens"):
        size = body.get(name) or 0
        if size > most:  # https://github.com/tailcallhq/forgecode/issues/1185
            message = (
                f"{name} is too large: {size}. This model supports at most {most} completion"
                f" tokens, whereas you provided {size}."
            )
            raise Fault(400, message, code="invalid_value", param=name)
    tokens = count_tokens([body["messages"], body.get("tools")])
    if tokens > context:  # https://github.com/crewAIInc/crewAI-examples/issues/121
        raise Fault(
            400,
            f"This model's maximum context length is {context} tokens. However, your messages"
            f" resulted in {tokens} tokens. Please reduce the length of the messages.",
            code="context_length_exceeded",
            param="messages",
        )
