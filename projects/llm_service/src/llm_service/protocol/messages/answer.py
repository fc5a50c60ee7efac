"""A model's events as Anthropic's message, whole or as the typed events of its stream; errors.

Which of several stop sequences ended a text is not known here: its stop reason is `end_turn`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from llm_service.protocol.body import new_id
from llm_service.protocol.events import (
    About,
    broken_off,
    call_index,
    dumps,
    error_body,
    gather,
    send,
)
from llm_service.request import Event, Events, Finish, Usage

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_ERRORS = {
    **{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"},
    **{404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"},
    **{503: "overloaded_error", 504: "timeout_error"},
}


async def collect(events: Events, about: About) -> dict[str, Any]:
    """The whole message. Raises what `events` raises, Unavailable if they end too early."""
    answers, usage = await gather(events)
    answer = answers[0]
    content: list[dict[str, Any]] = []
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    for call in answer.calls():
        try:
            arguments = json.loads(call["function"]["arguments"] or "{}")
        except ValueError:  # cut off by max_tokens
            continue
        content.append(_call(call["id"], call["function"]["name"], arguments))
    return _message(about, content, _REASONS.get(answer.reason or "", "end_turn"), usage)


def stream(events: Events, about: About) -> AsyncIterator[bytes]:
    """The server-sent events of one message. An error after the first of them is an `error`."""
    return send(events, _Blocks(about))


class _Blocks:
    """The blocks of a message as they come; one is open at a time."""

    def __init__(self, about: About) -> None:
        self.about = about
        self.open = ""  # text, or the number of a call
        self.at = -1
        self.calls: dict[int, None] = {}
        self.reason = ""
        self.usage = Usage(0)

    def begin(self) -> str:
        return _event("message_start", message=_message(self.about, [], None, Usage(0)))

    def add(self, event: Event) -> str:
        if isinstance(event, Usage):
            self.usage = event
            return ""
        if isinstance(event, Finish):
            self.reason = event.reason
            return ""
        start = {"type": "text", "text": ""}
        out = self._piece("text", start, "text_delta", text=event.text) if event.text else ""
        return out + "".join(map(self._arguments, event.tool_calls))

    def _arguments(self, part: Mapping[str, Any]) -> str:
        index, function = call_index(part, self.calls), part.get("function") or {}
        self.calls[index] = None
        start = _call(part.get("id"), function.get("name") or "", {})
        arguments = function.get("arguments") or ""
        return self._piece(str(index), start, "input_json_delta", partial_json=arguments)

    def _piece(self, name: str, start: Mapping[str, Any], type_: str, **new: str) -> str:
        out = ""
        if self.open != name:
            out = self._close()
            self.open, self.at = name, self.at + 1
            out += _event("content_block_start", index=self.at, content_block=start)
        if any(new.values()):
            out += _event("content_block_delta", index=self.at, delta={"type": type_, **new})
        return out

    def _close(self) -> str:
        return _event("content_block_stop", index=self.at) if self.open else ""

    def end(self) -> str:
        """The ends of the open block and of the message. Unavailable if no Finish came."""
        if not self.reason:
            raise broken_off()
        delta = {"stop_reason": _REASONS.get(self.reason, "end_turn"), "stop_sequence": None}
        end = _event("message_delta", delta=delta, usage=_usage(self.usage))
        return self._close() + end + _event("message_stop")

    def failed(self, error: Exception) -> str:
        status, message = getattr(error, "status", 500), error_body(error)["error"]["message"]
        return _event("error", error={"type": _error_type(status), "message": message})


def _message(about: About, content: list[Any], reason: str | None, usage: Usage) -> dict[str, Any]:
    return {
        "id": about.response_id,
        "type": "message",
        "role": "assistant",
        "model": about.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": _usage(usage),
    }


def _call(id_: str | None, name: str, arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_ or new_id("call"), "name": name, "input": arguments}


def _usage(usage: Usage) -> dict[str, int]:
    """Anthropic counts what was read from a cache apart from the rest."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": usage.completion_tokens,
    }


def _event(type_: str, **fields: Any) -> str:
    return f"event: {type_}\ndata: {dumps({'type': type_, **fields}).decode()}\n\n"


def _error_type(status: int) -> str:
    return _ERRORS.get(status, "invalid_request_error" if status < 500 else "api_error")


class AnthropicErrors:
    """Middleware that gives every error of `/v1/messages` Anthropic's form, also of a wrong key."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}

        async def translated(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                start.update(message)  # the body comes in one piece
                return
            if start:
                inner = json.loads(message["body"])["error"]
                error = inner | {"type": _error_type(start["status"])}
                body = dumps({"type": "error", "error": error, "request_id": inner["request_id"]})
                headers = [pair for pair in start["headers"] if pair[0] != b"content-length"]
                length = (b"content-length", str(len(body)).encode())
                await send({**start, "headers": [*headers, length]})
                message = {**message, "body": body}
            await send(message)

        ours = scope["type"] == "http" and scope["path"].startswith("/v1/messages")
        await self.app(scope, receive, translated if ours else send)
