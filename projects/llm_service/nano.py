"""nano_service: an OpenAI-compatible server for one model, in one file of FastAPI.

    python projects/llm_service/nano.py                                   # on 127.0.0.1:8004
    NANO_KEY=secret SEEDBED_MODEL=openai:gpt-4o-mini python projects/llm_service/nano.py
    curl -s http://127.0.0.1:8004/v1/chat/completions -H 'content-type: application/json' \
      -d '{"messages": [{"role": "user", "content": "What is the capital of France?"}]}'

What a model needs before other programs can rely on it: a protocol that every client speaks,
answers that arrive as they are written, a key, a limit that refuses instead of collapsing, and
metrics. The official `openai` client works with it, tools and JSON schemas included.

The default model has 135 million parameters. The server answers with it all the same, as a gateway
has no opinion on what it passes on: the form of its answers is guaranteed, their content is not.
"""

from __future__ import annotations

import hmac
import json
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, convert_to_messages, convert_to_openai_messages
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, make_asgi_app
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.datastructures import Headers

# The only part that is not a library of the field: a model that runs here, without a key. Instead
# of it, write `init_chat_model("openai:gpt-4o-mini")` from `langchain.chat_models`.
from seedbed.models.load import load_chat_model

MAX_RUNNING = 16  # requests at a time; the next one is refused rather than queued without end
MAX_BODY = 1_000_000  # bytes


# The protocol: what a client may send -----------------------------------------------------------
class ChatRequest(BaseModel):
    """The body of POST /v1/chat/completions.

    A field that is not listed is refused with its name. A server that ignores what it does not
    support answers another question than the one it was asked.
    """

    model_config = ConfigDict(extra="forbid")

    messages: list[dict[str, Any]] = Field(min_length=1)
    model: str = ""
    stream: bool = False
    stream_options: dict[str, Any] = Field(default_factory=dict)
    n: Literal[1] = 1
    user: str | None = None

    # Passed on to the model, under the same names.
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, gt=0)
    stop: str | list[str] | None = None
    seed: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None

    @field_validator("messages")
    @classmethod
    def check_messages(cls, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            convert_to_messages(messages)
        except Exception as error:  # LangChain raises several types for an unknown role
            raise ValueError(str(error)) from None
        return messages

    def options(self) -> dict[str, Any]:
        """The arguments for LangChain's model; what is unset is left to the model."""
        ours = {"messages", "model", "stream", "stream_options", "n", "user"}
        options = self.model_dump(exclude=ours, exclude_none=True)
        if isinstance(stop := options.get("stop"), str):
            options["stop"] = [stop]
        return options


# The protocol: what it gets back ----------------------------------------------------------------
def finish_reason(reply: AIMessage) -> str:
    if reply.tool_calls:
        return "tool_calls"
    return str(reply.response_metadata.get("finish_reason") or "stop")


def usage(reply: AIMessage) -> dict[str, int]:
    counts: Any = reply.usage_metadata or {}
    return {
        "prompt_tokens": counts.get("input_tokens", 0),
        "completion_tokens": counts.get("output_tokens", 0),
        "total_tokens": counts.get("total_tokens", 0),
    }


def completion(model: str, reply: AIMessage) -> dict[str, Any]:
    """A whole answer."""
    message = convert_to_openai_messages(reply)
    message["content"] = message.get("content") or None
    choice = {"index": 0, "message": message, "finish_reason": finish_reason(reply)}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": usage(reply),
    }


def error_body(status: int, message: str) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "code": status}}


def status_of(error: Exception) -> int:
    """The HTTP status for a failure of the model.

    Errors of seedbed's models have it as `status`; those of the `openai` client as `status_code`.
    """
    status = getattr(error, "status", getattr(error, "status_code", 500))
    return status if isinstance(status, int) else 500


# Streaming --------------------------------------------------------------------------------------
async def stream_events(
    model: BaseChatModel, name: str, request: ChatRequest, record: Callable[[AIMessage], None]
) -> AsyncIterator[str]:
    """The answer as server-sent events. `record` is called with the whole reply.

    If the client disconnects, the server cancels this generator, which ends the model's work.
    """
    head = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": name,
    }

    def event(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return f"data: {json.dumps({**head, 'choices': [choice]}, ensure_ascii=False)}\n\n"

    whole: Any = None
    try:
        yield event({"role": "assistant", "content": ""})
        messages = convert_to_messages(request.messages)
        async for chunk in model.astream(messages, **request.options()):
            whole = chunk if whole is None else whole + chunk
            calls = [
                {
                    "index": call["index"] or 0,
                    **({"id": call["id"], "type": "function"} if call["id"] else {}),
                    "function": {"name": call["name"], "arguments": call["args"] or ""},
                }
                for call in getattr(chunk, "tool_call_chunks", [])
            ]
            if calls:
                yield event({"tool_calls": calls})
            elif chunk.text:
                yield event({"content": chunk.text})
        record(whole)
        yield event({}, finish_reason(whole))
        if request.stream_options.get("include_usage"):
            last = {**head, "choices": [], "usage": usage(whole)}
            yield f"data: {json.dumps(last)}\n\n"
    except Exception as error:  # the status line is already sent, so the error is an event
        yield f"data: {json.dumps(error_body(status_of(error), str(error)))}\n\n"
    yield "data: [DONE]\n\n"


# The application --------------------------------------------------------------------------------
class Gate:
    """Checks the key, the number of running requests, and the size of a body while it arrives.

    A middleware, since FastAPI reads the whole body before it calls any dependency, and since here
    a request also ends if its client leaves before the first event of a stream.
    """

    def __init__(self, app: Any, key: str, running: Gauge, seconds: Histogram) -> None:
        self.app, self.key, self.running, self.seconds = app, key, running, seconds
        self.busy = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            return await self.app(scope, receive, send)
        sent = Headers(scope=scope).get("authorization", "").removeprefix("Bearer ")
        # Compared in constant time, so that timing does not reveal how much of a guess is right.
        if self.key and not hmac.compare_digest(sent.encode(), self.key.encode()):
            refusal = JSONResponse(error_body(401, "Wrong or missing API key."), 401)
            return await refusal(scope, receive, send)
        if self.busy >= MAX_RUNNING:
            body = error_body(429, "The server is full.")
            return await JSONResponse(body, 429, {"retry-after": "1"})(scope, receive, send)
        size = 0

        async def receive_counted() -> Any:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                raise HTTPException(413, f"The body is larger than {MAX_BODY} bytes.")
            return message

        self.busy += 1
        try:
            with self.running.track_inprogress(), self.seconds.time():
                await self.app(scope, receive_counted, send)
        finally:
            self.busy -= 1


def create_app(
    model: BaseChatModel, name: str, key: str = "", registry: CollectorRegistry = REGISTRY
) -> FastAPI:
    """The server for `model`, which clients know as `name`. Without `key`, anyone may ask."""
    requests = Counter("nano_requests", "Requests by status.", ["status"], registry=registry)
    tokens = Counter("nano_tokens", "Tokens by direction.", ["direction"], registry=registry)
    seconds = Histogram("nano_seconds", "Duration of an answer.", registry=registry)
    running = Gauge("nano_running", "Requests that are being answered.", registry=registry)

    def record(reply: AIMessage) -> None:
        if reply.usage_metadata:
            tokens.labels("input").inc(reply.usage_metadata["input_tokens"])
            tokens.labels("output").inc(reply.usage_metadata["output_tokens"])

    app = FastAPI(title="nano_service")
    app.add_middleware(Gate, key=key, running=running, seconds=seconds)
    app.mount("/metrics", make_asgi_app(registry))

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "nano"}]}

    @app.post("/v1/chat/completions")
    async def chat(request: ChatRequest) -> Any:
        if request.model not in ("", name):
            raise HTTPException(404, f"Unknown model {request.model!r}. Available: {name}.")
        if request.stream:
            events = stream_events(model, name, request, record)
            return StreamingResponse(events, media_type="text/event-stream")
        reply = await model.ainvoke(convert_to_messages(request.messages), **request.options())
        record(reply)
        return completion(name, reply)

    @app.middleware("http")
    async def count(request: Request, call_next: Any) -> Any:
        """Turn every failure of the model into a response, and count responses by status."""
        try:
            response = await call_next(request)
        except Exception as error:  # each vendor has exceptions of its own
            status = status_of(error)
            response = JSONResponse(error_body(status, str(error)), status)
        requests.labels(response.status_code).inc()
        return response

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        body = error_body(error.status_code, error.detail)
        return JSONResponse(body, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse(error_body(400, f"{field}: {first['msg']}"), 400)

    return app


def main() -> None:
    spec = os.environ.get("SEEDBED_MODEL", "smollm2")
    app = create_app(load_chat_model(), spec, os.environ.get("NANO_KEY", ""))
    # Loopback only. Set a key before you bind another address, and put TLS in front.
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8004")))


if __name__ == "__main__":
    main()
