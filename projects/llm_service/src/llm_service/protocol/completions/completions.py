"""`/v1/completions`: the body and the answer.

Several prompts stay in one `Ask`: choice `i * n + k` is the k-th of prompt i, and the usage is
that of all. A backend writes the echo (a local one by `echoed`), as upstreams do: it comes as the
choice's first delta, with `tokens=0`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii as quote
from typing import Any, ClassVar

from pydantic import Field

from llm_service.protocol.body import (
    SAMPLING,
    Sampled,
    Texts,
    TokenIds,
    TokenLists,
    asked_beyond,
    invalid,
)
from llm_service.protocol.events import dumps, gather, send, usage_body
from llm_service.request import MAX_CHOICES, Delta, Events, Finish, Kind, Usage, several

_LOCAL = SAMPLING | {"prompt", "echo"}


class CompletionRequest(Sampled):
    """OpenAI's request for text that goes on from a prompt, without a chat template."""

    kind: ClassVar[Kind] = "text"
    passed_on: ClassVar[frozenset[str]] = Sampled.passed_on | {
        *("response_format", "add_special_tokens")
    }
    prompt: str | Texts | TokenIds | TokenLists = Field(
        description="A string, a list of token ids, or a list of either."
    )
    echo: bool | None = None
    logprobs: int | None = Field(None, ge=0, le=5)
    best_of: int | None = Field(None, ge=1, le=20)
    suffix: str | None = None

    def check(self) -> None:
        super().check()
        names = several(self.prompt)
        if not names or [] in names:
            raise invalid("prompt", "must not be empty")
        if len(names) * (self.n or 1) > MAX_CHOICES:
            raise invalid("prompt", f"{len(names)} prompts times n exceeds {MAX_CHOICES} choices")
        if self.best_of is not None and self.best_of < (self.n or 1):
            raise invalid("best_of", f"{self.best_of} is less than n")


def echoed(body: Mapping[str, Any]) -> Iterator[Delta]:
    """What `echo` asks for: the prompt's text at the beginning of each of its choices."""
    n = body.get("n", 1)
    for place, prompt in enumerate(several(body["prompt"]) if body.get("echo") else ()):
        for index in range(place * n, place * n + n):
            yield Delta(str(prompt), index, tokens=0)


def unsupported(body: Mapping[str, Any]) -> list[str]:
    """The fields of an Ask's `body` that no local model can do."""
    names = asked_beyond(body, _LOCAL)
    if body.get("logprobs", 0) > 1:
        names.append("logprobs")
    if body.get("echo") and body.get("logprobs") is not None:
        names.append("echo (with logprobs)")  # a prompt's own are not known
    if body.get("echo") and any(not isinstance(prompt, str) for prompt in several(body["prompt"])):
        names.append("echo (of token ids)")
    return names


async def collect(
    events: Events,
    response_id: str,
    created: int,
    model: str,
) -> dict[str, Any]:
    """The whole text_completion. Raises what `events` raises, Unavailable if they end too early."""
    answers, usage = await gather(events)
    return {
        "id": response_id,
        "object": "text_completion",
        "created": created,
        "model": model,
        "choices": [
            {
                "text": answer.text,
                "index": index,
                "logprobs": _logprobs(answer.logprobs, 0) if answer.logprobs else None,
                "finish_reason": _reason(answer.reason),
            }
            for index, answer in answers.items()
        ],
        "usage": usage_body(usage),
    }


def stream(
    events: Events,
    response_id: str,
    created: int,
    model: str,
    *,
    include_usage: bool = False,
) -> AsyncIterator[bytes]:
    """Server-sent text_completion chunks; errors as in `events.send`."""
    return send(events, _Chunks(response_id, created, model, include_usage))


def _reason(reason: str | None) -> str | None:
    return "stop" if reason == "tool_calls" else reason


def _logprobs(entries: Sequence[Mapping[str, Any]], offset: int) -> dict[str, Any]:
    """Chat's log probabilities in the older form; `offset` counts characters of the text."""
    offsets, tops = [], []
    for entry in entries:
        offsets.append(offset)
        offset += len(entry["token"])
        tops.append({top["token"]: top["logprob"] for top in entry.get("top_logprobs") or ()})
    return {
        "tokens": [entry["token"] for entry in entries],
        "token_logprobs": [entry["logprob"] for entry in entries],
        "top_logprobs": tops if any(tops) else None,
        "text_offset": offsets,
    }


class _Chunks:
    def __init__(self, response_id: str, created: int, model: str, include_usage: bool) -> None:
        same = {"id": response_id, "object": "text_completion", "created": created, "model": model}
        self.head = "data: " + dumps(same).decode()[:-1] + ',"choices":['
        self.tail = '],"usage":null}\n\n' if include_usage else "]}\n\n"
        self.tails: dict[int, str] = {}
        self.offsets: dict[int, int] = {}
        self.include_usage = include_usage

    def start(self, index: int) -> str:
        self.tails[index] = f',"index":{index},"logprobs":null,"finish_reason":null}}{self.tail}'
        self.offsets[index] = 0
        return ""

    def delta(self, delta: Delta) -> str:
        if not delta.text and not delta.logprobs:
            return ""
        if not delta.logprobs:
            return f'{self.head}{{"text":{quote(delta.text)}{self.tails[delta.index]}'
        offset = self.offsets[delta.index]
        self.offsets[delta.index] = offset + sum(len(entry["token"]) for entry in delta.logprobs)
        return self.any(delta.text, delta.index, _logprobs(delta.logprobs, offset), None)

    def finish(self, finish: Finish) -> str:
        return self.any("", finish.index, None, _reason(finish.reason))

    def any(self, text: str, index: int, logprobs: Any, reason: str | None) -> str:
        choice = {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason}
        return self.head + dumps(choice).decode() + self.tail

    def usage(self, usage: Usage) -> str:
        if not self.include_usage:
            return ""
        return f'{self.head}],"usage":{dumps(usage_body(usage)).decode()}}}\n\n'
