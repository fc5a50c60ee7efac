"""What all answers share on their way out: choices put together, server-sent events, errors.

Each route passes its own `Draft`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from llm_service.request import Delta, Event, Events, Finish, Usage
from seedbed.errors import SeedbedError, Unavailable
from seedbed.safety.secrets import redact_secrets

log = logging.getLogger("llm_service.protocol")


class About(NamedTuple):
    """What an answer repeats: its id, when it was created (Unix seconds), the requested model."""

    response_id: str
    created: int
    model: str


def error_body(error: BaseException) -> dict[str, Any]:
    """`{"error": {"message", "type", "param", "code"}}`, as OpenAI's clients read it.

    Clients see unexpected errors only as "Internal server error".
    """
    inner: dict[str, Any] = {
        "message": "Internal server error; see the server's log.",
        "type": "internal_error",
        "param": None,
        "code": None,
    }
    if isinstance(error, SeedbedError):
        inner |= {"message": redact_secrets(str(error)), "type": error.type, **error.details}
    return {"error": inner}


def dumps(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def usage_body(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def broken_off() -> Unavailable:
    return Unavailable("The model's answer was cut off.", hint="Try again.")


@dataclass
class Answer:
    """One choice, put together from its deltas."""

    texts: list[str] = field(default_factory=list)
    tool_calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    tokens: int = 0
    reason: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def add(self, event: Delta | Finish) -> None:
        if isinstance(event, Finish):
            self.reason = event.reason
            return
        self.tokens += event.tokens
        if event.text:
            self.texts.append(event.text)
        for part in event.tool_calls:
            _merge_call(self.tool_calls, part)
        if event.logprobs:
            self.logprobs += event.logprobs
        for name, value in (event.extra or {}).items():
            self.extra[name] = _joined(self.extra.get(name), value)

    def calls(self) -> list[dict[str, Any]]:
        return [call for _, call in sorted(self.tool_calls.items())]


def _merge_call(calls: dict[int, dict[str, Any]], part: Mapping[str, Any]) -> None:
    call = calls.setdefault(
        call_index(part, calls),
        {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
    )
    call["id"] = part.get("id") or call["id"]
    function = part.get("function") or {}
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def call_index(part: Mapping[str, Any], positions: Mapping[int, Any]) -> int:
    """Which call this is part of: calls of a whole message carry no index, but an id each."""
    index = part.get("index")
    if isinstance(index, int):
        return index
    return len(positions) if part.get("id") or not positions else len(positions) - 1


def _joined(before: Any, value: Any) -> Any:
    if value is None or (isinstance(before, str | list) and type(before) is type(value)):
        return before if value is None else before + value
    return value


async def gather(events: Events) -> tuple[dict[int, Answer], Usage]:
    """All choices by index, and the usage. Unavailable if a choice has no end."""
    answers: dict[int, Answer] = {}
    usage = None
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Usage):
                usage = event
            else:
                answers.setdefault(event.index, Answer()).add(event)
    if not answers or any(answer.reason is None for answer in answers.values()):
        raise broken_off()
    counted = sum(answer.tokens for answer in answers.values())
    return dict(sorted(answers.items())), usage or Usage(0, counted)


def token_logprobs(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries with all of OpenAI's fields, some of which upstreams leave out."""

    def with_bytes(entry: Mapping[str, Any]) -> dict[str, Any]:
        text = str(entry.get("token", ""))
        return {**entry, "bytes": entry.get("bytes") or list(text.encode(errors="replace"))}

    return [
        {**with_bytes(e), "top_logprobs": [*map(with_bytes, e.get("top_logprobs") or ())]}
        for e in entries
    ]


class Draft:
    """An answer in the making, whose methods return the server-sent events of a change."""

    def __init__(self) -> None:
        self.reason = ""
        self.usage = Usage(0)

    def begin(self) -> str:
        return ""

    def add(self, event: Event) -> str:
        if isinstance(event, Usage):
            self.usage = event
        elif isinstance(event, Finish):
            self.reason = event.reason
        else:
            return self.new(event)
        return ""

    def new(self, delta: Delta) -> str:
        raise NotImplementedError

    @property
    def complete(self) -> bool:
        return bool(self.reason)

    def end(self) -> str:
        """The last events of an answer that is complete."""
        raise NotImplementedError

    def failed(self, error: Exception) -> str:
        raise NotImplementedError


async def send(events: Events, draft: Draft) -> AsyncIterator[bytes]:
    """The server-sent events of an answer.

    An error before the first event is raised; a later one becomes the last event, as the status
    line was sent long before.
    """
    begun = False
    async with aclosing(events):
        try:
            async for event in events:
                out = draft.add(event)
                if not begun:
                    begun, out = True, draft.begin() + out
                if out:
                    yield out.encode()
            if not draft.complete:
                raise broken_off()
            end = draft.end()
        except Exception as error:
            if not begun:
                raise
            if not isinstance(error, SeedbedError):
                log.error("Stream failed", exc_info=error)
            end = draft.failed(error)
        yield end.encode()
