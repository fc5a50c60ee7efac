"""Load on an OpenAI-compatible server, and what its clients see: tokens a second, waiting times.

    run("http://127.0.0.1:8004", concurrency=(1, 8, 16))     clients, each sends when answered
    run("http://127.0.0.1:8004", rate=100, seconds=30)       requests a second, answered or not

The client shares the cores with the server that it measures, in the same way for every server. To
load a server of your own, use Locust or guidellm.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from seedbed.runs.evaluation import quantile

WORDS = """
river stone morning letter garden window paper music winter summer bridge forest
market kitchen silver doctor teacher engine mountain island yellow orange purple simple
quiet strong narrow early number country village station corner circle machine picture
weather farmer brother sister harbor castle desert valley meadow thunder candle
basket blanket pocket mirror ladder hammer needle button ribbon feather
""".split()


def prompt(seed: int, topic: object, words: int) -> str:
    """Words that depend on the seed and the topic, so that no cache answers the prompt."""
    return " ".join(random.Random(f"{seed} {topic}").choices(WORDS, k=words))


@dataclass(slots=True)
class Sample:
    """One request as its client saw it; times from `time.perf_counter()`.

    `error` is empty for a complete answer, else a status ("429") or what went wrong.
    """

    started: float
    ended: float = 0.0
    first: float | None = None
    last: float = 0.0
    gaps: list[float] = field(default_factory=list)
    chunks: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: str = ""

    @property
    def tokens(self) -> int:
        return self.chunks if self.completion_tokens is None else self.completion_tokens

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    def add_usage(self, body: dict[str, Any]) -> None:
        usage = body.get("usage") or {}
        self.prompt_tokens = usage.get("prompt_tokens", self.prompt_tokens)
        self.completion_tokens = usage.get("completion_tokens", self.completion_tokens)

    def add_chunk(self, chunk: dict[str, Any]) -> None:
        """The data of one server-sent event."""
        now = time.perf_counter()
        self.add_usage(chunk)
        if not any(choice["delta"].get("content") for choice in chunk.get("choices") or ()):
            return
        if self.first is None:
            self.first = now
        else:
            self.gaps.append(now - self.last)
        self.last = now
        self.chunks += 1


@dataclass
class Traffic:
    """Requests to one model; prompts have `words` words after a prefix that all of them share.

    With `exact` every answer has `output_tokens` tokens, on servers that can ignore the end token.
    """

    session: aiohttp.ClientSession
    url: str
    model: str
    words: int = 20
    output_tokens: int = 64
    prefix_tokens: int = 0
    stream: bool = True
    exact: bool = True
    seed: int = 0
    sent: int = 0

    async def send(self) -> Sample:
        """One request with a prompt of its own."""
        self.sent += 1
        text = prompt(self.seed, self.sent, self.words)
        if self.prefix_tokens:
            text = f"{prompt(self.seed, 'prefix', self.prefix_tokens)} {text}"
        return await self.ask(text, self.output_tokens, self.stream)

    async def ask(self, text: str, output_tokens: int, stream: bool) -> Sample:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": output_tokens,
            "temperature": 0,
            "stream": stream,
        }
        if self.exact:
            body |= {"ignore_eos": True, "min_tokens": output_tokens}
        if stream:
            body |= {"stream_options": {"include_usage": True}}
        sample = Sample(time.perf_counter())
        try:
            async with self.session.post(f"{self.url}/v1/chat/completions", json=body) as response:
                if response.status != 200:
                    await response.read()
                    sample.error = str(response.status)
                elif stream:
                    await _read_events(response, sample)
                else:
                    sample.add_usage(await response.json())
        except TimeoutError:
            sample.error = "timeout"
        except (aiohttp.ClientError, ValueError) as error:
            sample.error = type(error).__name__
        sample.ended = time.perf_counter()
        return sample


async def _read_events(response: aiohttp.ClientResponse, sample: Sample) -> None:
    sample.error = "incomplete stream"
    async for line in response.content:
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            sample.error = ""
        elif line.startswith(b"data:"):
            chunk = json.loads(data)
            if "error" in chunk:
                sample.error = "error in the stream"
                return
            sample.add_chunk(chunk)


async def words_for(traffic: Traffic, prompt_tokens: int) -> int:
    """How many words make a prompt of `prompt_tokens` tokens, the chat template included."""
    counts = []
    for words in (8, 40):
        text = prompt(traffic.seed, f"probe {words}", words)
        sample = await traffic.ask(text, 1, stream=False)
        if sample.error:
            raise SystemExit(f"{traffic.url} answered with an error: {sample.error}.")
        counts.append(sample.prompt_tokens or 0)
    ratio = (counts[1] - counts[0]) / 32  # tokens per word
    return max(4, 8 + round((prompt_tokens - counts[0]) / ratio)) if ratio else prompt_tokens


async def closed_loop(traffic: Traffic, level: int, requests: int) -> list[Sample]:
    """`level` clients send `requests` in total; each sends its next one when it is answered."""
    numbers = iter(range(requests))
    samples: list[Sample] = []

    async def client() -> None:
        for _ in numbers:
            samples.append(await traffic.send())

    await asyncio.gather(*(client() for _ in range(level)))
    return samples


async def open_loop(traffic: Traffic, rate: float, requests: int, fixed: bool) -> list[Sample]:
    """`rate` requests a second, at fixed or random times, whether or not others are answered."""
    rng = random.Random(f"{traffic.seed} arrivals")
    tasks: list[asyncio.Task[Sample]] = []
    due = time.perf_counter()
    for _ in range(requests):
        # Event loops sleep in whole milliseconds: what is due within one is sent now.
        if (wait := due - time.perf_counter()) > 0.0005:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(traffic.send()))
        due += 1 / rate if fixed else rng.expovariate(rate)
    return list(await asyncio.gather(*tasks))


def open_session(key: str | None = None, timeout: float = 120.0) -> aiohttp.ClientSession:
    """A session with as many connections as there are requests at the same time."""
    headers = {"cache-control": "no-store"} | ({"authorization": f"Bearer {key}"} if key else {})
    return aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=timeout),
    )


async def measure(
    url: str,
    *,
    concurrency: Sequence[int] = (1, 8, 16, 32),
    requests: int | None = None,
    rate: float | None = None,
    seconds: float = 10.0,
    fixed: bool = False,
    model: str = "smollm2",
    prompt_tokens: int = 50,
    key: str | None = None,
    timeout: float = 120.0,
    **options: Any,
) -> dict[str, Any]:
    """The figures at each level of `concurrency`, or at one `rate`; `run` is its synchronous form.

    Each level sends `requests`, by default four for each client and eight at least. `options` are
    fields of `Traffic`.
    """
    async with open_session(key, timeout) as session:
        traffic = Traffic(session, url, model, **options)
        traffic.words = await words_for(traffic, prompt_tokens)
        levels = []
        for level in [rate] if rate else concurrency:
            started = time.perf_counter()
            if rate:
                count = requests or max(1, round(rate * seconds))
                samples = await open_loop(traffic, rate, count, fixed)
            else:
                count = requests or max(8, 4 * int(level))
                samples = await closed_loop(traffic, int(level), count)
            wall = time.perf_counter() - started
            levels.append(
                {"rate" if rate else "concurrency": level, **summary(samples, wall)},
            )
    return {"prompt_words": traffic.words, "levels": levels}


def run(url: str, **options: Any) -> dict[str, Any]:
    """`measure` in an event loop of its own: uvloop's, where it is installed."""
    work: Coroutine[Any, Any, dict[str, Any]] = measure(url, **options)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def summary(samples: Sequence[Sample], wall: float) -> dict[str, Any]:
    """The figures of one level; times in seconds. Refused requests (429) are not errors."""
    answered = [sample for sample in samples if not sample.error]
    refused = [sample.seconds for sample in samples if sample.error == "429"]
    tokens = sum(sample.tokens for sample in answered)
    prompts = [s.prompt_tokens for s in answered if s.prompt_tokens is not None]
    return {
        "requests": len(samples),
        "ok": len(answered),
        "refused": len(refused),
        "errors": dict(Counter(s.error for s in samples if s.error not in ("", "429"))),
        "wall_seconds": round(wall, 3),
        "output_tokens": tokens,
        "tokens_per_second": round(tokens / wall, 1),
        "requests_per_second": round(len(answered) / wall, 2),
        "prompt_tokens": round(sum(prompts) / len(prompts), 1) if prompts else None,
        "first_token": quantiles([s.first - s.started for s in answered if s.first is not None]),
        "inter_token": quantiles([gap for s in answered for gap in s.gaps]),
        "latency": quantiles([s.seconds for s in answered]),
        "refused_latency": quantiles(refused),
    }


def quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """p50, p95 and p99 (nearest rank); None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return {f"p{share}": round(quantile(ordered, share / 100), 5) for share in (50, 95, 99)}
