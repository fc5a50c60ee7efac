"""The OpenAPI document: FastAPI's own, with what it cannot know of streams, headers and errors,
and with examples to start from. It knows the routes by their addresses only.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

DESCRIPTION = """\
An OpenAI-compatible API under `/v1`. Point any OpenAI client at this server, e.g.
`OpenAI(base_url="http://127.0.0.1:8004/v1", api_key="sk-sb-…")`.

* Send the API key as `Authorization: Bearer KEY`. As long as no key exists, requests from the same
  machine need none.
* With `"stream": true` the answer is sent as server-sent events, ending with `data: [DONE]` (the
  Responses API ends with `response.completed` instead). An error after the first event is sent as
  `data: {"error": …}`, and no `[DONE]` follows.
* An unknown field, or one that the requested model does not support, results in a 400 that names
  the field in `param`.
"""
ERRORS = {
    "400": "The request is invalid; `param` names the field.",
    "401": "Missing or invalid API key.",
    "403": "The key lacks the permission for this.",
    "404": "Not found.",
    "413": "The request body is too large.",
    "429": "A rate limit or budget is exhausted, or the queue is full. `Retry-After` gives the "
    "seconds to wait.",
    "503": "The model is unavailable, or the server is shutting down.",
    "504": "The answer was not finished before the deadline.",
}
ERROR: dict[str, Any] = {
    "title": "Error",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {
                "type": {"type": "string", "description": "Stable error type for programs."},
                "message": {"type": "string", "description": "What is wrong and how to fix it."},
                "request_id": {"type": "string", "description": "Id of the request in the log."},
                "param": {"type": ["string", "null"], "description": "The invalid field."},
                "code": {"type": ["string", "null"], "description": "OpenAI's error code."},
            },
        }
    },
    "example": {
        "error": {
            "type": "not_found",
            "message": "Unknown model 'gpt-9'. Available models: smollm2, minilm.",
            "request_id": "bbf9e433f08f42919c05c5e2ec78b8da",
            "param": "model",
            "code": "model_not_found",
        }
    },
}
HEADERS = {
    "x-request-id": "Request id: the one the client sent, or a new one.",
    "x-model-used": "Name of the model that answered.",
    "x-cost-usd": "Cost of the answer in USD. Absent for streams.",
    "x-overhead-ms": "Time spent in the service itself, in milliseconds.",
    "x-cache": "Cache result: miss, hit or shared (joined an identical running request).",
    "x-guardrails": "Guardrail decisions, if any.",
    "x-ratelimit-remaining-requests": "Requests left for this key in this minute.",
    "x-ratelimit-remaining-tokens": "Tokens left for this key in this minute.",
}
_HELLO = [{"role": "user", "content": "Say hello."}]
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "chat": {"messages": _HELLO, "max_tokens": 50},
        "stream": {
            "messages": _HELLO,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        "json schema": {
            "messages": [{"role": "user", "content": "Where is the Louvre?"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "place", "schema": _SCHEMA},
            },
        },
        "tool call": {
            "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
            "tools": [
                {"type": "function", "function": {"name": "get_weather", "parameters": _SCHEMA}}
            ],
            "tool_choice": "required",
        },
    },
    "/v1/completions": {"text": {"prompt": "Paris is", "max_tokens": 20}},
    "/v1/responses": {"text": {"input": "Say hello.", "instructions": "Be short."}},
    "/v1/embeddings": {"texts": {"input": ["A cat sits.", "Ships sail."]}},
    "/v1/feedback": {
        "thumb": {"response_id": "chatcmpl-c2406727f8dc40a89d95b0a2e431acb2", "rating": "up"}
    },
    "/admin/keys": {"limited": {"name": "alice", "rpm": 60, "budget_usd": 5.0}},
}
_STREAMED = {
    "/v1/chat/completions": 'data: {"object":"chat.completion.chunk",…}\n\ndata: [DONE]\n\n',
    "/v1/completions": 'data: {"object":"text_completion",…}\n\ndata: [DONE]\n\n',
    "/v1/responses": 'event: response.created\ndata: {"type":"response.created",…}\n\n…',
}


def complete(app: FastAPI) -> None:
    """Have `app` serve its document so completed; for once, when all routes are there."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(made())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    document["info"]["description"] = DESCRIPTION
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # a wrong body is a 400 here
        schemas.pop(name, None)
    schemas["Error"] = ERROR
    for path, item in document["paths"].items():
        for operation in item.values():
            _complete(path, operation)
    return document


def _complete(path: str, operation: dict[str, Any]) -> None:
    # FastAPI's id repeats the address; generated clients would name their methods by it.
    operation["operationId"] = operation["summary"].lower().replace(" ", "_")
    responses = operation["responses"]
    responses.pop("422", None)
    responses |= {status: {"description": ERRORS[status]} for status in _refusals(path, operation)}
    for status, response in responses.items():
        if status >= "400":
            schema = {"$ref": "#/components/schemas/Error"}
            response["content"] = {"application/json": {"schema": schema}}
    good = responses.get("200") or responses["201"]
    if path.startswith("/v1"):
        good["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in HEADERS.items()
            if "requestBody" in operation or name == "x-request-id"
        }
    if path in _STREAMED:
        stream = {"schema": {"type": "string"}, "example": _STREAMED[path]}
        good["content"]["text/event-stream"] = stream
    if path == "/metrics":
        good["content"] = {"text/plain": {"schema": {"type": "string"}}}
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]
        examples = EXAMPLES.get(path, {})
        body["examples"] = {name: {"value": value} for name, value in examples.items()}


def _refusals(path: str, operation: dict[str, Any]) -> list[str]:
    """The statuses that an operation may answer beside its own, in order."""
    if path in ("/healthz", "/readyz"):
        return ["503"] if path == "/readyz" else []
    found = ["401", "429", "503"]
    if path.startswith(("/v1", "/admin")):
        found += ["400", "403", "404"]
    if "requestBody" in operation:
        found += ["413"]
    if path in _STREAMED or path == "/v1/embeddings":
        found += ["504"]
    return sorted(found)
