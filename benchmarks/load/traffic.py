"""The requests sent to an OpenAI-compatible server, and what became of each.

It knows a server by its protocol only: what it does not take is found by asking once. Every prompt
is a new one, so that no cache answers it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

from seedbed.errors import (
    BadInput,
    DeadlineExceeded,
    Forbidden,
    NotFound,
    Unauthorized,
    Unavailable,
)

from .http_client import Client
from .http_parser import CutOff, Response

# What not every server knows: left out when it refuses a request that has them, and named.
OPTIONAL = ("ignore_eos", "min_tokens", "stream_options", "temperature")
WORDS = """
river stone morning letter garden window paper music winter summer bridge forest
market kitchen silver doctor teacher engine mountain island yellow orange purple simple
quiet strong narrow early number country village station corner circle machine picture
weather farmer brother sister village harbor castle desert valley meadow thunder candle
basket blanket pocket mirror ladder hammer needle button ribbon feather
""".split()


def prompt(seed: int, what: object, words: int) -> str:
    """So many words, drawn by the seed and by what they are for."""
    return " ".join(random.Random(f"{seed} {what}").choices(WORDS, k=words))


@dataclass(slots=True)
class Sample:
    """One request as its client saw it; times from `time.perf_counter()`."""

    started: float
    ended: float = 0.0
    first: float | None = None
    last: float = 0.0
    gaps: list[float] = field(default_factory=list)
    chunks: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: str = ""
    finished: bool = False

    def event(self, data: bytes) -> None:
        """The data of one server-sent event."""
        now = time.perf_counter()
        if data == b"[DONE]":
            return
        try:
            chunk = json.loads(data)
            if error := chunk.get("error"):
                self.error = f"error in the stream: {_message(error)}"[:200]
                return
            self.take_usage(chunk)
            choices = chunk.get("choices") or ()
            new = any(_holds_text(choice) for choice in choices)
            self.finished |= any(choice.get("finish_reason") for choice in choices)
        except (ValueError, AttributeError, TypeError):
            self.error = "malformed event"
            return
        if new:
            if self.first is None:
                self.first = now
            else:
                self.gaps.append(now - self.last)
            self.last = now
            self.chunks += 1

    def take_usage(self, body: dict[str, Any]) -> None:
        if usage := body.get("usage"):
            self.prompt_tokens = usage.get("prompt_tokens", self.prompt_tokens)
            self.completion_tokens = usage.get("completion_tokens", self.completion_tokens)

    @property
    def tokens(self) -> int:
        return self.chunks if self.completion_tokens is None else self.completion_tokens

    @property
    def seconds(self) -> float:
        return self.ended - self.started


def _holds_text(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta") or choice.get("message") or choice
    fields = ("content", "reasoning_content", "reasoning", "tool_calls", "text")
    return any(delta.get(name) for name in fields)


def _message(error: Any) -> str:
    return str(error.get("message", error) if isinstance(error, dict) else error)


@dataclass
class Traffic:
    """Requests to one server: `await send()` is one of them, its `Sample` tells how it went.

    `left_out` names the parameters that the server does not take; `words` (a number of them, known
    after `open_traffic`) gives a prompt of about `prompt_tokens` tokens, the template's included.
    """

    client: Client
    model: str
    prompt_tokens: int = 50
    output_tokens: int = 64
    prefix_tokens: int = 0
    stream: bool = True
    seed: int = 0
    left_out: list[str] = field(default_factory=list)
    limit_name: str = "max_tokens"
    words: int = 0
    sent: int = 0

    def __post_init__(self) -> None:
        self.words = self.words or max(4, self.prompt_tokens)
        self._prefix = prompt(self.seed, "prefix", self.prefix_tokens)

    def body(self, text: str, output_tokens: int, stream: bool) -> bytes:
        optional = {
            "ignore_eos": True,
            "min_tokens": output_tokens,
            "temperature": 0,
            **({"stream_options": {"include_usage": True}} if stream else {}),
        }
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            self.limit_name: output_tokens,
            "stream": stream,
            **{name: value for name, value in optional.items() if name not in self.left_out},
        }
        return json.dumps(body).encode()

    async def send(self) -> Sample:
        """One request with a prompt of its own."""
        self.sent += 1
        return await self.ask(f"{self._prefix} {prompt(self.seed, self.sent, self.words)}".strip())

    async def ask(self, text: str, output_tokens: int | None = None) -> Sample:
        body = self.body(text, output_tokens or self.output_tokens, self.stream)
        sample = Sample(time.perf_counter())
        try:
            response = await self.client.post("/chat/completions", body, sample.event)
            _judge(sample, response)
        except DeadlineExceeded:
            sample.error = "timeout"
        except CutOff:
            sample.error = "cut off"
        except Unavailable:
            sample.error = "no connection"
        sample.ended = time.perf_counter()
        return sample


def _judge(sample: Sample, response: Response) -> None:
    """What the whole response says of a request: its error, or the usage of a plain answer."""
    if response.status != 200:
        sample.error = str(response.status)
    elif response.headers.get("content-type", "").startswith("text/event-stream"):
        if not sample.error and not sample.finished:
            sample.error = "incomplete stream"
    else:
        try:
            body = json.loads(response.body)
            sample.take_usage(body)
            sample.chunks = sum(_holds_text(choice) for choice in body["choices"])
        except (ValueError, LookupError, TypeError, AttributeError):
            sample.error = "malformed response"


async def open_traffic(
    url: str,
    *,
    model: str | None = None,
    key: str | None = None,
    timeout: float = 120.0,
    **options: Any,
) -> Traffic:
    """Learn what the server at `url` is: its model, what it takes, and how long a prompt gets.

    Raises Unavailable, Unauthorized, Forbidden, NotFound or BadInput, in one line.
    """
    client = Client(url, key, timeout)
    traffic = Traffic(client, model or await first_model(client), **options)
    await _probe(traffic)
    return traffic


async def first_model(client: Client) -> str:
    response = await client.get("/models")
    raise_for(response, client.url)
    try:
        models = [str(entry["id"]) for entry in json.loads(response.body)["data"]]
    except (ValueError, LookupError, TypeError):
        raise BadInput(
            f"{client.url} is not an OpenAI-compatible server: /models returned no list of models.",
            hint="Use the base URL of an OpenAI-compatible server, including /v1.",
        ) from None
    if not models:
        raise BadInput(f"{client.url} serves no models.", hint="Load a model there first.")
    return models[0]


def raise_for(response: Response, url: str) -> None:
    if response.status == 200:
        return
    reason = said(response)
    if response.status == 401:
        raise Unauthorized(f"{url} rejected the API key: {reason}", hint="Set --key.")
    if response.status == 403:
        raise Forbidden(f"{url} denied access: {reason}", hint="Use another key or model.")
    if response.status == 404 and _is_error_of_openai(response):
        raise NotFound(
            f"{url} returned 404: {reason}", hint="Select one of its models with --model."
        )
    if response.status == 429 or response.status >= 500:
        raise Unavailable(f"{url} returned {response.status}: {reason}", hint="Try again later.")
    raise BadInput(
        f"{url} returned {response.status}: {reason}",
        hint="Use the base URL of an OpenAI-compatible server, including /v1.",
    )


def _is_error_of_openai(response: Response) -> bool:
    try:
        error = json.loads(response.body)["error"]
        return "model" in _message(error).lower()
    except (ValueError, LookupError, TypeError):
        return False


def said(response: Response) -> str:
    try:
        body = json.loads(response.body)
        text = _message(body.get("error") or body.get("detail") or body)
    except (ValueError, AttributeError):
        text = response.body.decode("utf-8", "replace")
    return " ".join(text.split())[:300] or "nothing."


async def _probe(traffic: Traffic) -> None:
    """Find what the server does not take, then how many tokens the words of a prompt are."""
    few, many = 8, 40
    counts: list[int | None] = []
    for words in (few, many):
        text = prompt(traffic.seed, f"probe {words}", words)
        while True:
            response = await traffic.client.post("/chat/completions", traffic.body(text, 1, False))
            if response.status not in (400, 422) or not _leave_out(traffic, said(response)):
                break
        raise_for(response, traffic.client.url)
        counts.append(_prompt_tokens(response, traffic.client.url))
    # Also as it will be sent: a server may take a parameter only in one of the two ways.
    if (
        traffic.stream
        and (sample := await traffic.ask(prompt(traffic.seed, "probe", few), 2)).error
    ):
        traffic.left_out.append("stream_options")
        if (sample := await traffic.ask(prompt(traffic.seed, "probe", few), 2)).error:
            raise BadInput(f"{traffic.client.url} does not support streaming: {sample.error}.")
    low, high = counts
    if low is not None and high is not None and high > low:
        each = (high - low) / (many - few)
        traffic.words = max(4, few + round((traffic.prompt_tokens - low) / each))


def _leave_out(traffic: Traffic, refusal: str) -> bool:
    """Whether a refusal names something that a request can do without (and now does)."""
    if "max_completion_tokens" in refusal and traffic.limit_name == "max_tokens":
        traffic.limit_name = "max_completion_tokens"
        return True
    named = [name for name in OPTIONAL if name in refusal and name not in traffic.left_out]
    traffic.left_out += named
    return bool(named)


def _prompt_tokens(response: Response, url: str) -> int | None:
    try:
        body = json.loads(response.body)
        if not isinstance(body["choices"], list):
            raise TypeError
        return (body.get("usage") or {}).get("prompt_tokens")
    except (ValueError, LookupError, TypeError, AttributeError):
        raise BadInput(
            f"{url} is not an OpenAI-compatible server: its response has no choices.",
            hint="Use the base URL of an OpenAI-compatible server, including /v1.",
        ) from None


async def closed_loop(traffic: Traffic, level: int, requests: int) -> tuple[list[Sample], float]:
    """`level` clients send `requests` between them, each its next when the last is answered."""
    numbers = iter(range(requests))
    samples: list[Sample] = []

    async def client() -> None:
        for _ in numbers:
            samples.append(await traffic.send())

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(min(level, requests))))
    return samples, time.perf_counter() - started


async def open_loop(
    traffic: Traffic, rate: float, requests: int, arrivals: str
) -> tuple[list[Sample], float, list[float]]:
    """`rate` requests a second whatever becomes of them; also how late each was sent, in s."""
    draw = random.Random(f"{traffic.seed} arrivals")
    tasks: list[asyncio.Task[Sample]] = []
    late = []
    started = due = time.perf_counter()
    for _ in range(requests):
        # Loops sleep in whole milliseconds: what is due within one is sent now.
        if (wait := due - time.perf_counter()) > 0.0005:
            await asyncio.sleep(wait)
        late.append(max(0.0, time.perf_counter() - due))
        tasks.append(asyncio.create_task(traffic.send()))
        due += draw.expovariate(rate) if arrivals == "poisson" else 1 / rate
    samples = list(await asyncio.gather(*tasks))
    return samples, time.perf_counter() - started, late
