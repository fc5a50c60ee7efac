"""A model's events as Anthropic's message, whole or as the typed events of its stream; errors.

Which of several stop sequences ended a text is not known here: its stop reason is `end_turn`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_service.protocol.body import new_id
from llm_service.protocol.events import About, Draft, call_index, dumps, error_body, gather
from llm_service.request import Delta, Events, Usage

_REASONS = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_ERRORS = {
    **{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"},
    **{404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"},
    **{503: "overloaded_error", 504: "timeout_error"},
}


async def collect(events: Events, about: About, _: object = None) -> dict[str, Any]:
    """The whole message. Raises what `events` raises, Unavailable if they end too early."""
    answers, usage = await gather(events)
    answer = answers[0]
    content: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
    for call in answer.calls():
        try:
            arguments = json.loads(call["function"]["arguments"] or "{}")
        except ValueError:  # cut off by max_tokens
            continue
        content.append(_call(call["id"], call["function"]["name"], arguments))
    return _message(about, content, usage, _REASONS.get(answer.reason or "", "end_turn"))


class Stream(Draft):
    """The blocks of a message as they come; one is open at a time."""

    def __init__(self, about: About, _: object = None) -> None:
        super().__init__()
        self.about = about
        self.open = ""  # text, or the number of a call
        self.at = -1
        self.calls: dict[int, None] = {}

    def begin(self) -> str:
        return _event("message_start", message=_message(self.about, [], Usage(0), None))

    def new(self, delta: Delta) -> str:
        out = ""
        if delta.text:
            out = self._piece("text", {"type": "text", "text": ""}, "text_delta", text=delta.text)
        for part in delta.tool_calls:
            index, function = call_index(part, self.calls), part.get("function") or {}
            self.calls[index] = None
            start = _call(part.get("id"), function.get("name") or "", {})
            arguments = function.get("arguments") or ""
            out += self._piece(str(index), start, "input_json_delta", partial_json=arguments)
        return out

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
        delta = {"stop_reason": _REASONS.get(self.reason, "end_turn"), "stop_sequence": None}
        end = _event("message_delta", delta=delta, usage=_usage(self.usage))
        return self._close() + end + _event("message_stop")

    def failed(self, error: Exception) -> str:
        return _event("error", error=_typed(error_body(error), getattr(error, "status", 500)))


def _message(about: About, content: list[Any], usage: Usage, reason: str | None) -> dict[str, Any]:
    head = {"id": about.response_id, "type": "message", "role": "assistant", "model": about.model}
    end = {"stop_reason": reason, "stop_sequence": None, "usage": _usage(usage)}
    return {**head, "content": content, **end}


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


def _typed(body: Mapping[str, Any], status: int) -> dict[str, Any]:
    """The error of a body of ours, with Anthropic's type."""
    type_ = _ERRORS.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {**body["error"], "type": type_}


def in_anthropics_form(app: ASGIApp) -> ASGIApp:
    """Middleware: errors of `/v1/messages` get Anthropic's form, also those of a wrong key."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        start: Message = {}

        async def translated(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                start.update(message)  # the body comes in one piece
                return
            if start:
                error = _typed(json.loads(message["body"]), start["status"])
                body = dumps({"type": "error", "error": error, "request_id": error["request_id"]})
                MutableHeaders(scope=start)["content-length"] = str(len(body))
                await send(start)
                message = {**message, "body": body}
            await send(message)

        ours = scope["type"] == "http" and scope["path"].startswith("/v1/messages")
        await app(scope, receive, translated if ours else send)

    return wrapped
