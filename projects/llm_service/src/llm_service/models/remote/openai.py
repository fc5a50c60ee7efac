"""A model behind an API that speaks OpenAI's protocol: vLLM, Ollama, a vendor, another service.

The request's body goes out as it came in, with the model's name and defaults; what comes back is
read into events. Which upstream is asked, how often and for how long is the router's business.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from llm_service.models.remote.sse import EventParser
from llm_service.models.remote.upstream import (
    MAX_ANSWER,
    Upstream,
    bounded,
    estimate,
    message_of,
)
from llm_service.request import Ask, Delta, Embedded, Event, Finish, Usage, prompt_chars, several
from seedbed.errors import SeedbedError, Unavailable

_REASONS = {"stop", "length", "tool_calls", "content_filter"}
_PLAIN = {"role", "content"}
_KNOWN = _PLAIN | {"tool_calls"}


class OpenAIBackend(Upstream):
    async def generate(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Events of the answer; see `Backend`."""
        more: dict[str, Any] = {}
        if ask.stream:
            more = {"stream": True, "stream_options": {"include_usage": True}}
        response = await self._send("/chat/completions", self._dump(ask.body, more))
        async with self._reading(response):
            reader = StreamReader(self, ask)
            if not ask.stream or response.content_type != "text/event-stream":
                # Some servers ignore `stream`.
                for event in reader.whole(await self._read_json(response)):
                    yield event
                return
            parser, size = EventParser(), 0
            async for chunk in response.content.iter_any():
                size += len(chunk)
                if size > MAX_ANSWER:
                    raise Unavailable(
                        f"{self.name}: the upstream sent more than {MAX_ANSWER:,} bytes."
                    )
                for data in parser.feed(chunk):
                    for event in reader.read(data):
                        yield event
                if reader.done:
                    break
            for data in parser.end():
                for event in reader.read(data):
                    yield event
            for event in reader.end():
                yield event
            await self._drain(response)

    async def embed(self, ask: Ask) -> Embedded:
        """One vector for each input, in its order."""
        body = {k: v for k, v in ask.body.items() if k != "encoding_format"}
        response = await self._send("/embeddings", self._dump(body, {}))
        async with self._reading(response):
            answer = await self._read_json(response)
        inputs = body["input"]
        expected = len(several(inputs))
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors = [row["embedding"] for row in rows]
            fine = len(vectors) == expected and all(isinstance(v, list) and v for v in vectors)
        except (KeyError, TypeError):
            fine = False
        if not fine:
            raise self._malformed(json.dumps(answer)[:200])
        usage = answer.get("usage") or {}
        counted = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        # A text has at most one token a byte, and its beginning and end.
        most = prompt_chars(inputs) + 4 * expected
        count = _count(counted) if _count(counted) <= most else 0
        return Embedded(vectors, count or estimate(prompt_chars(inputs)))

    def _dump(self, body: Mapping[str, Any], more: Mapping[str, Any]) -> bytes:
        merged = {**self.entry.defaults, **body, "model": self.entry.model, **more}
        return json.dumps(merged).encode()

    def _reported(self, chunk: dict[str, Any]) -> SeedbedError | None:
        """The error that came in place of an answer, with a status of 200."""
        if not chunk.get("error"):
            return None
        error_text, code = message_of(chunk)
        error = chunk["error"]
        status = error.get("code") if isinstance(error, dict) else None
        return self.refusal(status if isinstance(status, int) else 500, error_text, code)


class StreamReader:
    """Reads an answer, whole or as a stream's events, and detects when it is complete."""

    def __init__(self, backend: OpenAIBackend, ask: Ask) -> None:
        self.done = False  # [DONE] was read
        self._backend = backend
        self._ask = ask
        self._chars = 0
        self._deltas = 0
        self._usage = Usage(0)
        self._open: set[int] = set()
        self._finished: set[int] = set()

    def whole(self, answer: dict[str, Any]) -> list[Event]:
        """The events of an answer that came in one piece."""
        try:
            events = self._events(answer)
        except (AttributeError, TypeError, ValueError):
            self._open.clear()
        if not self._open:
            raise self._backend._malformed(json.dumps(answer)[:200])
        for delta in (event for event in events if isinstance(event, Delta)):
            self._chars += sum(len(json.dumps(call)) for call in delta.tool_calls)
            count = self._usage.completion_tokens // len(self._open)
            delta.tokens = count or estimate(len(delta.text))
        self.done = True
        return [*events, *self.end()]

    def read(self, data: bytes) -> list[Event]:
        if self.done:
            return []
        if data == b"[DONE]":
            self.done = True
            return []
        try:
            # Decoded here, as json would first look which encoding it is.
            events = self._events(json.loads(data.decode()))
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise self._backend._malformed(data) from None
        return events

    def end(self) -> list[Event]:
        """The usage; raises Unavailable if the stream was cut off."""
        left = self._open - self._finished
        if not self._open or (left and not self.done):
            raise Unavailable(
                f"{self._backend.name}: the upstream closed the stream before the end of "
                "the answer."
            )
        usage = bounded(self._backend.entry, self._usage, self._ask, self._chars, self._deltas)
        return [*(Finish("stop", index) for index in sorted(left)), usage]

    def _events(self, chunk: dict[str, Any]) -> list[Event]:
        events: list[Event] = []
        if chunk.get("usage"):
            self._usage = _usage(chunk["usage"])
        for place, choice in enumerate(chunk.get("choices") or ()):
            index = place if choice.get("index") is None else int(choice["index"])
            self._open.add(index)
            message = choice.get("delta") or choice.get("message") or {}
            if (delta := delta_of(choice, message, index)) is not None:
                self._chars += len(delta.text)
                self._deltas += delta.tokens
                events.append(delta)
            if (reason := choice.get("finish_reason")) and index not in self._finished:
                self._finished.add(index)
                events.append(Finish(reason_of(reason), index))
        if not events and (error := self._backend._reported(chunk)):
            raise error
        return events


def delta_of(choice: dict[str, Any], message: dict[str, Any], index: int) -> Delta | None:
    """What a choice of a chunk (or of a whole answer) contains; None if nothing."""
    text = message.get("content") or ""
    if not isinstance(text, str):
        raise TypeError("content is not a string")
    delta = Delta(text, index)
    if fields := choice.get("logprobs"):
        delta.logprobs = fields.get("content") or ()
        delta.tokens = max(1, len(delta.logprobs))
    if not message.keys() <= _PLAIN:
        calls = message.get("tool_calls") or ()
        delta.tool_calls = [{"index": place, **call} for place, call in enumerate(calls)]
        extra = {k: v for k, v in message.items() if k not in _KNOWN and v is not None}
        delta.extra = extra or None
    return delta if text or delta.tool_calls or delta.logprobs or delta.extra else None


def reason_of(reason: Any) -> str:
    """A finish reason that clients know; other servers have words of their own for "stop"."""
    if reason == "function_call":
        return "tool_calls"
    return reason if reason in _REASONS else "stop"


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _usage(fields: Any) -> Usage:
    """The tokens of an upstream's usage; 0 for what it does not say."""
    if not isinstance(fields, dict):
        return Usage(0)
    details = fields.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    read, written = fields.get("prompt_tokens"), fields.get("completion_tokens")
    return Usage(_count(read), _count(written), _count(cached))
