"""A model's events as Anthropic's message, whole or as the typed events of its stream.

Which of several stop sequences ended a text is not known here: its stop reason is `end_turn`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from llm_service.protocol.body import new_id
from llm_service.protocol.endpoint import About
from llm_service.protocol.events import broken_off, call_index, dumps, error_body, gather, tell
from llm_service.request import Event, Events, Finish, Usage

_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
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
    reason = _REASONS.get(answer.reason or "", "end_turn")
    return _message(about, content, reason) | {"usage": _usage(usage)}


def stream(events: Events, about: About) -> AsyncIterator[bytes]:
    """The server-sent events of one message. An error after the first of them is an `error`."""
    return tell(events, _Blocks(about))


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
        message = _message(self.about, [], None) | {"usage": _usage(Usage(0))}
        return _event("message_start", message=message)

    def add(self, event: Event) -> Iterator[str]:
        if isinstance(event, Usage):
            self.usage = event
        elif isinstance(event, Finish):
            self.reason = event.reason
        else:
            if event.text:
                start = {"type": "text", "text": ""}
                yield from self._piece("text", start, "text_delta", text=event.text)
            for part in event.tool_calls:
                yield from self._arguments(part)

    def _arguments(self, part: Mapping[str, Any]) -> Iterator[str]:
        index, function = call_index(part, self.calls), part.get("function") or {}
        self.calls[index] = None
        start = _call(part.get("id"), function.get("name") or "", {})
        json_text = function.get("arguments") or ""
        yield from self._piece(str(index), start, "input_json_delta", partial_json=json_text)

    def _piece(self, name: str, start: Mapping[str, Any], type_: str, **new: str) -> Iterator[str]:
        if self.open != name:
            yield self._close()
            self.open, self.at = name, self.at + 1
            yield _event("content_block_start", index=self.at, content_block=start)
        if any(new.values()):
            yield _event("content_block_delta", index=self.at, delta={"type": type_, **new})

    def _close(self) -> str:
        return _event("content_block_stop", index=self.at) if self.open else ""

    def end(self) -> str:
        """The ends of the open block and of the message. Unavailable if no Finish came."""
        if not self.reason:
            raise broken_off()
        delta = {"stop_reason": _REASONS.get(self.reason, "end_turn"), "stop_sequence": None}
        ended = _event("message_delta", delta=delta, usage=_usage(self.usage))
        return self._close() + ended + _event("message_stop")

    def failed(self, error: Exception) -> str:
        return _event("error", error=error_body(error)["error"])


def _message(about: About, content: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
    return {
        "id": about.response_id,
        "type": "message",
        "role": "assistant",
        "model": about.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
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
