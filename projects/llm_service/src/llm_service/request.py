"""What one request asks of a model, and the events that answer it.

Everything between the HTTP routes and the backends speaks these few types: routes make an `Ask`,
backends answer it with events, and cache, guardrails and experiments are in between.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Kind = Literal["chat", "embedding"]
MAX_CHOICES = 128  # of one request
TOO_LONG = "context_length_exceeded"  # OpenAI's code for a ContextWindowError
ANSWER_ON_A_BUDGET = 1024  # tokens of an answer without max_tokens, for a key with a budget
_CHARS_PER_TOKEN = 3  # an upper estimate: English has four or more, and a token at least a byte
# Tokens that a template adds at most, besides those of each message: Anthropic documents 346 for
# tools, and other vendors do not say.
_TEMPLATE = 512
_PICTURE = 32_768  # more than any upstream takes for a picture


def several(prompts: Any) -> list[Any]:
    """OpenAI's prompt or input as a list: of texts, of lists of token ids, or of both."""
    alone = isinstance(prompts, str) or (bool(prompts) and isinstance(prompts[0], int))
    return [prompts] if alone else list(prompts)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `body` is OpenAI's body of `/v1/chat/completions` (or `/v1/embeddings` for
    "embedding"), already validated, without `stream`, `stream_options` and `model`, and without
    fields that are null.
    """

    kind: Kind
    model: str
    body: Mapping[str, Any]
    stream: bool = False
    user: str = ""
    request_id: str = ""


@dataclass(slots=True)
class Delta:
    """Something new of choice `index`: text, or whole or partial tool calls in the form of
    OpenAI's stream chunks, or log probabilities in OpenAI's form. `tokens` counts what it took.
    `extra` has fields of an upstream's delta or message that are passed on as they are.
    """

    text: str = ""
    index: int = 0
    tokens: int = 1
    tool_calls: Sequence[dict[str, Any]] = ()
    logprobs: Sequence[dict[str, Any]] = ()
    extra: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Finish:
    """The end of choice `index`: stop, length, tool_calls or content_filter."""

    reason: str
    index: int = 0


@dataclass(slots=True)
class Usage:
    """Tokens of the whole request; comes once, last."""

    prompt_tokens: int
    completion_tokens: int = 0
    cached_tokens: int = 0


Event = Delta | Finish | Usage


class Events(Protocol):
    """The events of one answer. Close them, read or not: an abandoned generation would go on."""

    def __aiter__(self) -> AsyncIterator[Event]: ...

    def __anext__(self) -> Awaitable[Event]: ...

    def aclose(self) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Embedded:
    """A vector for each input text, and the tokens read."""

    vectors: Sequence[Sequence[float]]
    prompt_tokens: int


@dataclass(slots=True)
class Load:
    """How busy a backend is, for routing and metrics."""

    running: int = 0
    waiting: int = 0


class Backend(Protocol):
    """Something that answers: a model in a process of ours, or an upstream.

    Closing what `generate` returns (or cancelling the task that reads it) stops the work. It raises
    SeedbedError: BadInput for what the client got wrong, Busy when full, Unavailable and
    DeadlineExceeded for what another target may do better.
    """

    name: str
    load: Load

    def generate(self, ask: Ask) -> Events: ...

    async def embed(self, ask: Ask) -> Embedded: ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class Facts:
    """What is known of a request beside its answer: for headers, metrics, accounting and logs.

    Each part writes here what it decided: the router `model_used`, `backend`, `attempts` and
    `waited`, the cache `cache`, the guardrails `decisions`, the experiment its variant.
    """

    model_used: str = ""  # the model of the table that answered
    backend: str = ""  # its backend: local, openai, anthropic
    attempts: int = 0  # targets and retries tried
    failed: list[tuple[str, str]] = field(default_factory=list)  # of them: model, type of error
    waited: float = 0.0  # seconds spent waiting for the backend's first event
    cache: str = ""  # "", "miss", "hit"
    decisions: list[str] = field(
        default_factory=list
    )  # e.g. "pii_in:redacted", "injection:blocked"
    experiment: str = ""
    variant: str = ""
    prompt: str = ""  # "name@version:hash" of the variant's prompt
    generated: int = 0  # tokens of the answer so far, also of those that guardrails hold back
    usage: Usage | None = None  # of the whole request, once it is known

    def count(self, event: Event) -> None:
        """Note what an event of the model took."""
        if isinstance(event, Delta):
            self.generated += event.tokens
        elif isinstance(event, Usage):
            self.usage = event


def estimate_tokens(ask: Ask) -> int:
    """An estimate of a prompt's tokens, rather too high than too low."""
    return prompt_chars(ask.body) // _CHARS_PER_TOKEN + 8


def most_tokens(body: Mapping[str, Any]) -> tuple[int, int]:
    """What a request takes at most: tokens of its prompt, and of its answers.

    A token is at least a byte, so the bytes of the JSON are an upper bound of all texts, tools and
    schemas; its braces and names are more than a template adds to each message. The answers have
    `max_tokens` each; without it, as for embeddings, there are none.
    """
    texts, pictures = dict(body), 0
    if messages := body.get("messages"):
        texts["messages"] = []
        for message in messages:
            content = message.get("content")
            if isinstance(content, list):
                parts = [part for part in content if part.get("type") != "image_url"]
                pictures += len(content) - len(parts)
                message = {**message, "content": parts}
            texts["messages"].append(message)
    answer = max(body.get("max_completion_tokens") or 0, body.get("max_tokens") or 0)
    prompt = len(json.dumps(texts)) + _TEMPLATE + _PICTURE * pictures
    return prompt, answer * int(body.get("n") or 1)


def prompt_chars(value: Any) -> int:
    """Characters of all texts in a body's messages, prompt or input; pictures count as 1,000.

    A text that is not ASCII counts three for each byte, so that a third of the sum is never less
    than its tokens.
    """
    if isinstance(value, str):
        if value.startswith("data:"):
            return 1000
        return len(value) if value.isascii() else 3 * len(value.encode(errors="replace"))
    if isinstance(value, Mapping):
        return sum(prompt_chars(v) for k, v in value.items() if k not in ("role", "type", "id"))
    if isinstance(value, list | tuple):
        return sum(4 if isinstance(v, int) else prompt_chars(v) for v in value)
    return 0
