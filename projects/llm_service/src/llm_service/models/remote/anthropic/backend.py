"""A model behind Anthropic's messages API, asked and read in OpenAI's terms.

The translation of requests into Anthropic's terms is in `request`.

Reference: docs.anthropic.com, "Messages" and "Streaming messages".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llm_service.models.entry import ModelEntry
from llm_service.models.remote.anthropic.request import ANSWER, request_of
from llm_service.models.remote.upstream import Upstream, estimate, message_of
from llm_service.request import Ask, Delta, Embedded, Event, Finish, Usage, prompt_chars
from seedbed.errors import BadInput, Unavailable

if TYPE_CHECKING:
    import aiohttp

VERSION = "2023-06-01"
_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnthropicBackend(Upstream):
    def __init__(self, name: str, entry: ModelEntry, session: aiohttp.ClientSession) -> None:
        headers = {"anthropic-version": VERSION}
        if key := entry.api_key:
            headers["x-api-key"] = key
        super().__init__(name, entry, session, headers)

    def reader(self, ask: Ask) -> MessageReader:
        # Tools of the client's and a schema exclude each other: a forced tool beside one is ours.
        return MessageReader(self, ask, "" if self._asked(ask).get("tools") else ANSWER)

    async def ask(self, ask: Ask) -> aiohttp.ClientResponse:
        body = request_of(self._asked(ask), self.entry.model, self.name, self.entry.passthrough)
        if ask.stream:
            body["stream"] = True
        return await self._send("/messages", json.dumps(body).encode())

    def _asked(self, ask: Ask) -> dict[str, Any]:
        return {**self.entry.defaults, **ask.body}

    async def embed(self, ask: Ask) -> Embedded:  # noqa: ARG002 - there is nothing to read
        raise BadInput(
            f"{self.name}: Anthropic does not support embeddings.", hint="Use another model."
        )


class MessageReader:
    """Reads a message, whole or as a stream's events. `answer` is the name of the tool whose
    arguments are the text of the answer, if there is one.
    """

    def __init__(self, backend: AnthropicBackend, ask: Ask, answer: str = "") -> None:
        self._backend = backend
        self._ask = ask
        self._answer = answer
        self._blocks: dict[int, str] = {}  # type of each open block
        self._calls = 0
        self._chars = 0
        self._usage: dict[str, Any] = {}
        self.done = False  # message_stop was read
        self._stopped = False

    def whole(self, message: dict[str, Any]) -> list[Event]:
        """The events of a message that came in one piece."""
        content = message.get("content")
        if message.get("type") == "error" or not isinstance(content, list):
            raise self._reported(message)
        text = thinking = ""
        calls: list[dict[str, Any]] = []
        try:
            for block in content:
                if block["type"] == "text":
                    text += block["text"]
                elif block["type"] == "thinking":
                    thinking += block["thinking"]
                elif block["type"] == "tool_use" and block["name"] == self._answer:
                    text += json.dumps(block["input"], ensure_ascii=False)
                elif block["type"] == "tool_use":
                    calls.append(_call(len(calls), block, json.dumps(block["input"])))
        except (KeyError, TypeError):
            raise self._backend._malformed(json.dumps(message)[:200]) from None
        self._note(message.get("usage"))
        self._chars = len(text)
        extra = {"reasoning_content": thinking} if thinking else None
        usage = self._counted()
        events: list[Event] = [Finish(self._reason(message.get("stop_reason"))), usage]
        if text or calls or extra:
            tokens = usage.completion_tokens
            events.insert(0, Delta(text, tokens=tokens, tool_calls=calls, extra=extra))
        return events

    def read(self, data: bytes) -> list[Event]:
        try:
            event = json.loads(data)
            return self._event(event)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise self._backend._malformed(data) from None

    def end(self) -> list[Event]:
        """The usage; raises Unavailable if the stream was cut off."""
        if not self._stopped:
            raise Unavailable(
                f"{self._backend.name}: the upstream closed the stream before the end of "
                "the answer."
            )
        return [self._counted()]

    def _event(self, event: dict[str, Any]) -> list[Event]:
        kind = event["type"]
        if kind == "content_block_delta":
            delta = self._delta(event["index"], event["delta"])
            return [delta] if delta else []
        if kind == "content_block_start":
            return self._start(event["index"], event["content_block"])
        if kind == "message_start":
            self._note(event["message"].get("usage"))
        elif kind == "message_delta":
            self._note(event.get("usage"))
            if reason := event["delta"].get("stop_reason"):
                self._stopped = True
                return [Finish(self._reason(reason))]
        elif kind == "error":
            raise self._reported(event)
        elif kind == "message_stop":
            self.done = True
        return []  # ping, content_block_stop, and kinds still to be invented

    def _start(self, index: int, block: dict[str, Any]) -> list[Event]:
        self._blocks[index] = block["type"]
        if block["type"] == "text" and block.get("text"):
            self._chars += len(block["text"])
            return [Delta(block["text"])]
        if block["type"] != "tool_use":
            return []
        if block["name"] == self._answer:
            self._blocks[index] = "answer"
            return []
        self._blocks[index] = f"call {self._calls}"
        self._calls += 1
        return [Delta(tool_calls=[_call(self._calls - 1, block, "")])]

    def _delta(self, index: int, delta: dict[str, Any]) -> Delta | None:
        kind, block = delta["type"], self._blocks.get(index, "")
        if kind == "text_delta":
            self._chars += len(delta["text"])
            return Delta(delta["text"]) if delta["text"] else None
        if kind == "thinking_delta":
            self._chars += len(delta["thinking"])
            return Delta(extra={"reasoning_content": delta["thinking"]})
        if kind != "input_json_delta" or not delta["partial_json"]:
            return None
        self._chars += len(delta["partial_json"])
        if block == "answer":
            return Delta(delta["partial_json"])
        arguments = {"arguments": delta["partial_json"]}
        return Delta(
            tool_calls=[{"index": int(block.removeprefix("call ")), "function": arguments}]
        )

    def _reason(self, reason: Any) -> str:
        if reason == "tool_use" and self._answer:  # the only tool there can have been
            return "stop"
        return _REASONS.get(reason, "stop")

    def _note(self, usage: Any) -> None:
        """Later events give the totals so far; what they leave out stands as it was."""
        if isinstance(usage, dict):
            self._usage |= {k: v for k, v in usage.items() if isinstance(v, int) and v >= 0}

    def _counted(self) -> Usage:
        # Anthropic counts what was read from and written to its cache apart from the rest.
        cached = self._usage.get("cache_read_input_tokens", 0)
        read = self._usage.get("input_tokens", 0) + cached
        read += self._usage.get("cache_creation_input_tokens", 0)
        reported = Usage(read, self._usage.get("output_tokens", 0), cached)
        usage = self._backend.plausible(reported, self._ask)
        return Usage(
            usage.prompt_tokens or estimate(prompt_chars(self._ask.body)),
            usage.completion_tokens or estimate(self._chars),
            usage.cached_tokens,
        )

    def _reported(self, event: dict[str, Any]) -> Exception:
        if not event.get("error"):
            return self._backend._malformed(json.dumps(event)[:200])
        error_text, code = message_of(event)
        status = {"invalid_request_error": 400, "authentication_error": 401}.get(code, 529)
        return self._backend.refusal(status, error_text, code)


def _call(index: int, block: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    function = {"name": block["name"], "arguments": arguments}
    return {"index": index, "id": block["id"], "type": "function", "function": function}
