"""A model's events as OpenAI's chat.completion, whole or in chunks.

It knows no request but its `Ask` and no model. One token is one chunk, so `stream` builds all but
a chunk's text beforehand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as quote
from typing import Any

from llm_service.ask import Ask, Delta, Event, Finish, Usage
from llm_service.protocol.common import (
    DONE,
    broken_off,
    closing,
    dumps,
    error_body,
    log_failure,
    sse,
    usage_body,
)


@dataclass
class Answer:
    """One choice, put together from its deltas."""

    texts: list[str] = field(default_factory=list)
    tool_calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def add(self, delta: Delta) -> None:
        if delta.text:
            self.texts.append(delta.text)
        for part in delta.tool_calls:
            _merge_call(self.tool_calls, part)
        if delta.logprobs:
            self.logprobs += delta.logprobs
        for name, value in (delta.extra or {}).items():
            self.extra[name] = _joined(self.extra.get(name), value)

    def calls(self) -> list[dict[str, Any]]:
        return [call for _, call in sorted(self.tool_calls.items())]


def _merge_call(calls: dict[int, dict[str, Any]], part: Mapping[str, Any]) -> None:
    call = calls.setdefault(
        part.get("index", 0),
        {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
    )
    call["id"] = part.get("id") or call["id"]
    function = part.get("function") or {}
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def _joined(before: Any, value: Any) -> Any:
    if value is None or (isinstance(before, str | list) and type(before) is type(value)):
        return before if value is None else before + value
    return value


async def gather(events: AsyncIterator[Event]) -> tuple[dict[int, Answer], Usage]:
    """All choices by index, and the usage. Unavailable if a choice has no end."""
    answers: dict[int, Answer] = {}
    usage, counted = None, 0
    async with closing(events):
        async for event in events:
            if isinstance(event, Usage):
                usage = event
                continue
            answer = answers.get(event.index)
            if answer is None:
                answer = answers[event.index] = Answer()
            if isinstance(event, Finish):
                answer.reason = event.reason
            else:
                answer.add(event)
                counted += event.tokens
    if not answers or any(answer.reason is None for answer in answers.values()):
        raise broken_off()
    return dict(sorted(answers.items())), usage or Usage(0, counted)


async def collect(
    events: AsyncIterator[Event],
    ask: Ask,  # noqa: ARG001 (every route's renderer takes the same)
    response_id: str,
    created: int,
    model: str,
) -> dict[str, Any]:
    """The whole chat.completion. Raises what `events` raises, Unavailable if they end too early."""
    answers, usage = await gather(events)
    return {
        "id": response_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
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
        "logprobs": token_logprobs(answer.logprobs) if answer.logprobs else None,
        "finish_reason": answer.reason,
    }


def token_logprobs(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    content = [{"bytes": None, "top_logprobs": [], **entry} for entry in entries]
    return {"content": content, "refusal": None}


class _Chunks:
    """The chunks of one stream: the constant JSON around what is new is made once."""

    def __init__(self, response_id: str, created: int, model: str, include_usage: bool) -> None:
        same = {
            "id": response_id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self.head = "data: " + dumps(same).decode()[:-1] + ',"choices":['
        self.tail = '],"usage":null}\n\n' if include_usage else "]}\n\n"
        self.heads: dict[int, str] = {}
        self.text_tail = '},"logprobs":null,"finish_reason":null}' + self.tail
        self.open: set[int] = set()

    def start(self, index: int) -> str:
        """The first chunk of a choice, which tells the role."""
        self.open.add(index)
        self.heads[index] = f'{self.head}{{"index":{index},"delta":{{"content":'
        return self.any(index, {"role": "assistant", "content": "", "refusal": None})

    def delta(self, delta: Delta) -> str:
        if delta.tool_calls or delta.logprobs or delta.extra:
            return self._rare(delta)
        if not delta.text:
            return ""
        return self.heads[delta.index] + quote(delta.text) + self.text_tail

    def _rare(self, delta: Delta) -> str:
        new: dict[str, Any] = {
            name: value for name, value in (delta.extra or {}).items() if name != "role"
        }
        if delta.text:
            new["content"] = delta.text
        if delta.tool_calls:
            new["tool_calls"] = list(delta.tool_calls)
        logprobs = token_logprobs(delta.logprobs) if delta.logprobs else None
        return self.any(delta.index, new, logprobs)

    def finish(self, finish: Finish) -> str:
        self.open.discard(finish.index)
        return self.any(finish.index, {}, None, finish.reason)

    def any(
        self, index: int, delta: Mapping[str, Any], logprobs: Any = None, reason: str | None = None
    ) -> str:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return self.head + dumps(choice).decode() + self.tail

    def usage(self, usage: Usage) -> str:
        return f'{self.head}],"usage":{dumps(usage_body(usage)).decode()}}}\n\n'


async def stream(
    events: AsyncIterator[Event],
    ask: Ask,  # noqa: ARG001
    response_id: str,
    created: int,
    model: str,
    *,
    include_usage: bool = False,
) -> AsyncIterator[bytes]:
    """Server-sent chat.completion.chunks, the last of them `[DONE]`.

    An error before the first event is raised; a later one becomes an `error` event that ends the
    stream without `[DONE]`, for the status line has long gone out.
    """
    chunks = _Chunks(response_id, created, model, include_usage)
    heads = chunks.heads
    async with closing(events):
        try:
            async for event in events:
                if type(event) is Usage:
                    if include_usage:
                        yield chunks.usage(event).encode()
                    continue
                index = event.index
                out = "" if index in heads else chunks.start(index)
                out += chunks.finish(event) if type(event) is Finish else chunks.delta(event)
                if out:
                    yield out.encode()
            if chunks.open or not heads:
                raise broken_off()
        except Exception as error:
            if not heads:
                raise
            log_failure(error)
            yield sse(error_body(error))
            return
        yield DONE
