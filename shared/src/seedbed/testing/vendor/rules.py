"""What OpenAI and Anthropic refuse, as far as our own code could send it.

    check_openai(body, {"gpt-4o-mini": 128_000})    # raises a Fault

https://developers.openai.com/api/reference/resources/chat
https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from seedbed.testing.vendor.script import Fault, count_tokens

OPENAI_FAULTS = {
    "401": Fault(401, "Incorrect API key provided.", code="invalid_api_key"),
    "403": Fault(403, "Country, region, or territory not supported", "request_forbidden"),
    "404": Fault(404, "The model does not exist.", code="model_not_found"),
    "429": Fault(429, "Rate limit reached.", "requests", "rate_limit_exceeded"),
    "insufficient_quota": Fault(
        429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"
    ),
    "500": Fault(500, "The server had an error while processing your request.", "server_error"),
    "503": Fault(503, "The engine is currently overloaded", "service_unavailable_error"),
    "529": Fault(529, "Overloaded", "server_error"),
}
ANTHROPIC_FAULTS = {
    "401": Fault(401, "invalid x-api-key", "authentication_error"),
    "403": Fault(403, "Your API key does not have permission.", "permission_error"),
    "404": Fault(404, "model not found", "not_found_error"),
    "429": Fault(429, "This request would exceed your rate limit.", "rate_limit_error"),
    "insufficient_quota": Fault(400, "Your credit balance is too low to access the API."),
    "500": Fault(500, "Internal server error", "api_error"),
    "503": Fault(503, "Service unavailable", "api_error"),
    "529": Fault(529, "Overloaded", "overloaded_error"),
}
_OPENAI_PARAMETERS = set(
    "model messages stream stream_options temperature top_p frequency_penalty presence_penalty n"
    " max_tokens max_completion_tokens seed logprobs top_logprobs logit_bias stop tools tool_choice"
    " parallel_tool_calls response_format reasoning_effort verbosity service_tier user"
    " safety_identifier prompt_cache_key metadata store".split()
)
_ANTHROPIC_PARAMETERS = set(
    "model max_tokens messages system stream temperature top_p top_k stop_sequences tools"
    " tool_choice thinking output_config metadata service_tier cache_control".split()
)
_REASONING = re.compile(r"o\d|gpt-[5-9]")
# Parameters that reasoning models take with their default only.
_SAMPLING = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_openai(body: Any, models: Mapping[str, int]) -> None:
    """Raise the Fault of a chat completion; `models` are the names with their context windows."""
    _check_parameters(body, _OPENAI_PARAMETERS, ("model", "messages"), 2, models)
    if _REASONING.match(body["model"]):
        for name, default in {"max_tokens": None, "stop": None, **_SAMPLING}.items():
            if body.get(name) not in (None, default):
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                raise Fault(400, message, code="unsupported_parameter", param=name)
    turns: list[tuple[list[str], list[str], bool]] = []  # calls, results, and other content
    for position, message in enumerate(body["messages"]):
        calls = [call["id"] for call in message.get("tool_calls", [])]
        is_result = message["role"] == "tool"
        if message.get("content") is None and not calls and not message.get("refusal"):
            raise Fault(400, f"messages.[{position}]: 'content' is null.")
        turns.append((calls, [message["tool_call_id"]] if is_result else [], not is_result))
    _check_results(turns)
    functions = [tool["function"] for tool in body.get("tools") or []]
    choice = body.get("tool_choice")
    chosen = choice["function"]["name"] if isinstance(choice, dict) else None
    _check_tools([(f["name"], f.get("parameters")) for f in functions], choice, chosen)
    form = (body.get("response_format") or {}).get("json_schema")
    if form:
        _check_name("response_format.json_schema.name", form["name"])
        _check_schema("response_format", form["schema"])
    tokens, window = count_tokens([body["messages"], body.get("tools")]), models[body["model"]]
    if tokens > window:
        message = f"This model's maximum context length is {window} tokens, not {tokens}."
        raise Fault(400, message, code="context_length_exceeded", param="messages")


def check_anthropic(body: Any, models: Mapping[str, int]) -> None:
    """Raise the Fault of a message; `models` are the names with their context windows."""
    required = ("model", "max_tokens", "messages")
    _check_parameters(body, _ANTHROPIC_PARAMETERS, required, 1, models)
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        raise Fault(400, "max_tokens: Input should be greater than or equal to 1")
    turns = []
    for position, message in enumerate(body["messages"]):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts = [block["text"] for block in blocks if block["type"] == "text"]
        if message["role"] not in (("user",) if position == 0 else ("user", "assistant")):
            raise Fault(400, f"messages.{position}.role: unexpected {message['role']!r}")
        if not blocks or not all(text.strip() for text in texts):
            raise Fault(400, f"messages.{position}: text content blocks must be non-empty")
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        turns.append((calls, results, len(results) < len(blocks)))
    _check_results(turns)
    tools = [(tool["name"], tool.get("input_schema")) for tool in body.get("tools") or []]
    choice = body.get("tool_choice")
    _check_tools(tools, choice, (choice or {}).get("name"))
    tokens, window = count_tokens([body["messages"], body.get("system")]), models[body["model"]]
    if tokens > window:
        raise Fault(400, f"prompt is too long: {tokens} tokens > {window} maximum")


def _check_parameters(
    body: Any, allowed: set[str], required: Sequence[str], most: int, models: Mapping[str, int]
) -> None:
    """`most` is the maximum temperature."""
    if not isinstance(body, dict):
        raise Fault(400, "The request body is not valid JSON.")
    if unknown := sorted(set(body) - allowed):
        raise Fault(400, f"Unrecognized request argument supplied: {', '.join(unknown)}")
    if missing := [name for name in required if not body.get(name)]:
        raise Fault(400, f"Missing required parameter: '{missing[0]}'.", param=missing[0])
    if not 0 <= (body.get("temperature") or 0) <= most:
        message = f"Invalid 'temperature': expected 0 to {most}."
        raise Fault(400, message, param="temperature")
    if body["model"] not in models:
        fault = (ANTHROPIC_FAULTS if allowed is _ANTHROPIC_PARAMETERS else OPENAI_FAULTS)["404"]
        raise replace(fault, message=f"The model `{body['model']}` does not exist.")


def _check_results(turns: list[tuple[list[str], list[str], bool]]) -> None:
    """Each call has one result, directly after the message that made it."""
    calls: list[str] = []
    for position, (new_calls, results, has_other) in enumerate([*turns, ([], [], True)]):
        for id in results:
            if id not in calls:
                raise Fault(400, f"messages.{position}: the result of {id} has no call before it.")
            calls.remove(id)
        if calls and has_other:
            raise Fault(400, f"messages.{position}: calls without a result: {', '.join(calls)}")
        calls = calls + new_calls


def _check_tools(tools: list[tuple[str, Any]], choice: Any, chosen: str | None) -> None:
    names = [name for name, _ in tools]
    for position, (name, schema) in enumerate(tools):
        _check_name(f"tools[{position}].function.name", name)
        _check_schema(f"tools[{position}].function.parameters", schema or {"type": "object"})
    if len(set(names)) < len(names):
        raise Fault(400, "Tool names must be unique.", param="tools")
    if choice is not None and not tools:
        raise Fault(400, "'tool_choice' is only allowed when 'tools' are specified.")
    if chosen is not None and chosen not in names:
        raise Fault(400, f"Tool choice '{chosen}' not found in 'tools' parameter.")


def _check_name(param: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Fault(400, f"Invalid '{param}': string does not match pattern.", param=param)


def _check_schema(param: str, schema: Any) -> None:
    problem = "" if schema.get("type") == "object" else "its type is not 'object'."
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        problem = error.message
    if problem:
        raise Fault(400, f"Invalid schema for '{param}': {problem}", param=param)
