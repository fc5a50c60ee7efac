"""A model's events as OpenAI's response object, whole or as the typed events of its stream.

One message item has all text; each call is an item of its own. Items end when the answer ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from llm_service.protocol.body import new_id
from llm_service.protocol.events import (
    About,
    Draft,
    broken_off,
    call_index,
    dumps,
    error_body,
    token_logprobs,
)
from llm_service.protocol.responses.request import ResponsesRequest
from llm_service.request import Delta, Events

_ERROR_CODES = {400: "invalid_prompt", 429: "rate_limit_exceeded"}


async def collect(events: Events, about: About, body: ResponsesRequest) -> dict[str, Any]:
    """The whole response. Raises what `events` raises, Unavailable if they end too early."""
    draft = Stream(about, body)
    async with aclosing(events):
        async for event in events:
            draft.add(event)
    return draft.whole()


class Stream(Draft):
    """The response as it comes; there is no `[DONE]` in this protocol."""

    def __init__(self, about: About, body: ResponsesRequest) -> None:
        super().__init__()
        self.base = {
            "id": about.response_id,
            "object": "response",
            "created_at": about.created,
            "model": about.model,
            "background": False,
            "store": False,
            "previous_response_id": None,
            **body.echo(),
        }
        self.items: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.logprobs: list[dict[str, Any]] = []
        self.text_at = -1
        self.text_head = ""
        self.arguments: dict[int, list[str]] = {}
        self.call_at: dict[int, int] = {}
        # 0 and 1 are the events of `begin`, which is called after the first `add`.
        self.number = 2

    def new(self, delta: Delta) -> str:
        out = self._text(delta) if delta.text or delta.logprobs else ""
        return out + "".join(map(self._call, delta.tool_calls))

    def _text(self, delta: Delta) -> str:
        out = "" if self.text_at >= 0 else self._open_text()
        self.texts.append(delta.text)
        logprobs = "[]"
        if delta.logprobs:
            entries = token_logprobs(delta.logprobs)
            self.logprobs += entries
            logprobs = dumps(entries).decode()
        number, self.number = self.number, self.number + 1
        return (
            f"{out}{self.text_head}{quote(delta.text)}"
            f',"logprobs":{logprobs},"sequence_number":{number}}}\n\n'
        )

    def _open_text(self) -> str:
        self.text_at = len(self.items)
        item = {
            "id": new_id("msg"),
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        self.items.append(item)
        place = {"item_id": item["id"], "output_index": self.text_at, "content_index": 0}
        type_ = "response.output_text.delta"
        head = dumps({"type": type_, **place}).decode()[:-1]
        self.text_head = f'event: {type_}\ndata: {head},"delta":'
        out = self._event("response.output_item.added", output_index=self.text_at, item=item)
        return out + self._event("response.content_part.added", **place, part=_part("", []))

    def _call(self, part: Mapping[str, Any]) -> str:
        index = call_index(part, self.call_at)
        function = part.get("function") or {}
        out = ""
        if index not in self.call_at:
            self.call_at[index] = at = len(self.items)
            self.arguments[index] = []
            item = {
                "id": new_id("fc"),
                "type": "function_call",
                "status": "in_progress",
                "call_id": part.get("id") or new_id("call"),
                "name": function.get("name") or "",
                "arguments": "",
            }
            self.items.append(item)
            out = self._event("response.output_item.added", output_index=at, item=item)
        if not function.get("arguments"):
            return out
        self.arguments[index].append(function["arguments"])
        at = self.call_at[index]
        return out + self._event(
            "response.function_call_arguments.delta",
            item_id=self.items[at]["id"],
            output_index=at,
            delta=function["arguments"],
        )

    def begin(self) -> str:
        after, self.number = self.number, 0
        response = self._response("in_progress", [])
        out = self._event("response.created", response=response)
        out += self._event("response.in_progress", response=response)
        self.number = after
        return out

    def end(self) -> str:
        """The ends of all items and of the response."""
        out = "" if self.items else self._open_text()
        out += "".join(self._closed(at) for at in range(len(self.items)))
        whole = self.whole()
        return out + self._event(f"response.{whole['status']}", response=whole)

    def _closed(self, at: int) -> str:
        self._fill(at)
        item = self.items[at]
        place = {"item_id": item["id"], "output_index": at}
        if at == self.text_at:
            part = item["content"][0]
            text = {"content_index": 0, "text": part["text"], "logprobs": part["logprobs"]}
            out = self._event("response.output_text.done", **place, **text)
            out += self._event("response.content_part.done", **place, content_index=0, part=part)
        else:
            out = self._event(
                "response.function_call_arguments.done",
                **place,
                name=item["name"],
                arguments=item["arguments"],
            )
        return out + self._event("response.output_item.done", output_index=at, item=item)

    def _fill(self, at: int) -> None:
        item = self.items[at]
        cut = self.reason in ("length", "content_filter") and at == len(self.items) - 1
        item["status"] = "incomplete" if cut or not self.reason else "completed"
        if at == self.text_at:
            item["content"] = [_part("".join(self.texts), self.logprobs)]
        else:
            index = next(i for i, place in self.call_at.items() if place == at)
            item["arguments"] = "".join(self.arguments[index])

    def whole(self) -> dict[str, Any]:
        if not self.reason:
            raise broken_off()
        if not self.items:
            self._open_text()
        for at in range(len(self.items)):
            self._fill(at)
        why = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(self.reason)
        response = self._response("incomplete" if why else "completed", self.items)
        response["incomplete_details"] = {"reason": why} if why else None
        usage = self.usage
        response["usage"] = {
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        }
        return response

    def failed(self, error: Exception) -> str:
        self.reason = ""
        for at in range(len(self.items)):
            self._fill(at)
        response = self._response("failed", self.items)
        code = _ERROR_CODES.get(getattr(error, "status", 500), "server_error")
        response["error"] = {"code": code, "message": error_body(error)["error"]["message"]}
        return self._event("response.failed", response=response)

    def _response(self, status: str, output: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        late = {"error": None, "incomplete_details": None, "usage": None}
        return {**self.base, "status": status, "output": list(output), **late}

    def _event(self, type_: str, **fields: Any) -> str:
        number, self.number = self.number, self.number + 1
        data = dumps({"type": type_, **fields, "sequence_number": number}).decode()
        return f"event: {type_}\ndata: {data}\n\n"


def _part(text: str, logprobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "type": "output_text",
        "text": text,
        "annotations": [],
        "logprobs": list(logprobs),
    }
