"""A model's events as OpenAI's chat.completion, whole or in chunks.

An answer has many chunks, so `Stream` builds all but a chunk's text beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from llm_service.protocol.chat import ChatRequest
from llm_service.protocol.events import (
    About,
    Answer,
    Draft,
    call_index,
    dumps,
    error_body,
    gather,
    token_logprobs,
    usage_body,
)
from llm_service.request import Delta, Event, Events, Finish, Usage


async def collect(events: Events, about: About, _: object = None) -> dict[str, Any]:
    """The whole chat.completion. Raises what `events` raises, Unavailable if they end too early."""
    answers, usage = await gather(events)
    return {
        "id": about.response_id,
        "object": "chat.completion",
        "created": about.created,
        "model": about.model,
        "choices": [_choice(index, answer) for index, answer in answers.items()],
        "usage": usage_body(usage),
    }


def _choice(index: int, answer: Answer) -> dict[str, Any]:
    calls = answer.calls()
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text if answer.texts or not calls else None,
        "refusal": None,
        **{name: value for name, value in answer.extra.items() if name != "role"},
    }
    if calls:
        message["tool_calls"] = calls
    return {
        "index": index,
        "message": message,
        "logprobs": _logprobs(answer.logprobs),
        "finish_reason": answer.reason,
    }


def _logprobs(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    return {"content": token_logprobs(entries), "refusal": None} if entries else None


class Stream(Draft):
    """The chunks of one stream: the constant JSON around what is new is made once."""

    def __init__(self, about: About, body: ChatRequest) -> None:
        super().__init__()
        same = {
            "id": about.response_id,
            "object": "chat.completion.chunk",
            "created": about.created,
            "model": about.model,
        }
        self.head = "data: " + dumps(same).decode()[:-1] + ',"choices":['
        self.tail = '],"usage":null}\n\n' if body.include_usage else "]}\n\n"
        self.heads: dict[int, str] = {}  # by choice
        self.open: set[int] = set()  # choices that have not ended
        self.calls: dict[int, dict[int, bool]] = {}
        self.text_tail = '},"logprobs":null,"finish_reason":null}' + self.tail
        self.include_usage = body.include_usage

    def add(self, event: Event) -> str:
        if isinstance(event, Usage):
            return self._usage(event)
        index = event.index
        out = "" if index in self.heads else self._start(index)
        if isinstance(event, Finish):
            self.open.discard(index)
            return out + self._any(index, {}, None, event.reason)
        if event.tool_calls or event.logprobs or event.extra:
            return out + self._rare(event)
        return out + self.heads[index] + quote(event.text) + self.text_tail if event.text else out

    @property
    def complete(self) -> bool:
        return bool(self.heads) and not self.open

    def end(self) -> str:
        return "data: [DONE]\n\n"

    def failed(self, error: Exception) -> str:
        return f"data: {dumps(error_body(error)).decode()}\n\n"

    def _start(self, index: int) -> str:
        """The first chunk of a choice, with the role."""
        self.open.add(index)
        self.heads[index] = f'{self.head}{{"index":{index},"delta":{{"content":'
        return self._any(index, {"role": "assistant", "content": "", "refusal": None})

    def _rare(self, delta: Delta) -> str:
        new: dict[str, Any] = {
            name: value for name, value in (delta.extra or {}).items() if name != "role"
        }
        if delta.text:
            new["content"] = delta.text
        if delta.tool_calls:
            new["tool_calls"] = [self._indexed(delta.index, part) for part in delta.tool_calls]
        return self._any(delta.index, new, _logprobs(delta.logprobs))

    def _indexed(self, index: int, part: Mapping[str, Any]) -> dict[str, Any]:
        positions = self.calls.setdefault(index, {})
        at = call_index(part, positions)
        positions[at] = True
        return {"index": at, **{name: value for name, value in part.items() if name != "index"}}

    def _any(
        self, index: int, delta: Mapping[str, Any], logprobs: Any = None, reason: str | None = None
    ) -> str:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return self.head + dumps(choice).decode() + self.tail

    def _usage(self, usage: Usage) -> str:
        if not self.include_usage:
            return ""
        return f'{self.head}],"usage":{dumps(usage_body(usage)).decode()}}}\n\n'
