"""Load on any OpenAI-compatible server, and what its clients see: tokens a second, waiting times.

run("http://127.0.0.1:8004", concurrency=(1, 8, 16))     so many clients, each one by one
run("http://127.0.0.1:8004", rate=100, seconds=30)       so many requests a second
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal

from seedbed import cli
from seedbed.errors import BadInput
from seedbed.runs.evaluation import quantile

from .traffic import Sample, closed_loop, open_loop, open_traffic

__all__ = ["measure", "quantiles", "run", "summary", "table"]


def quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """p50, p95 and p99 in seconds (nearest rank); None of nothing."""
    if not values:
        return None
    ordered = sorted(values)  # once: to sort it again takes no time
    return {f"p{share}": round(quantile(ordered, share / 100), 5) for share in (50, 95, 99)}


def summary(samples: Sequence[Sample], wall: float) -> dict[str, Any]:
    """The figures of one level. Refused requests (429) are no errors and count apart."""
    fine = [sample for sample in samples if not sample.error]
    refused = [sample.seconds for sample in samples if sample.error == "429"]
    errors = Counter(s.error for s in samples if s.error and s.error != "429")
    tokens = sum(sample.tokens for sample in fine)
    prompts = [s.prompt_tokens for s in fine if s.prompt_tokens is not None]
    return {
        "requests": len(samples),
        "ok": len(fine),
        "refused": len(refused),
        "errors": dict(errors),
        "wall_seconds": round(wall, 3),
        "output_tokens": tokens,
        "tokens_per_second": round(tokens / wall, 1) if wall else 0.0,
        "requests_per_second": round(len(fine) / wall, 2) if wall else 0.0,
        "prompt_tokens": round(sum(prompts) / len(prompts), 1) if prompts else None,
        "counted_by": "chunks" if any(s.completion_tokens is None for s in fine) else "usage",
        "first_token": quantiles([s.first - s.started for s in fine if s.first is not None]),
        "inter_token": quantiles([gap for s in fine for gap in s.gaps]),
        "latency": quantiles([s.seconds for s in fine]),
        "refused_latency": quantiles(refused),
    }


async def measure(
    url: str,
    *,
    concurrency: Sequence[int] = (1, 8, 16, 32),
    requests: int | None = None,
    rate: float | None = None,
    seconds: float = 10.0,
    arrivals: Literal["poisson", "fixed"] = "poisson",
    prompt_tokens: int = 50,
    output_tokens: int = 64,
    prefix_tokens: int = 0,
    model: str | None = None,
    key: str | None = None,
    stream: bool = True,
    seed: int = 0,
    timeout: float = 120.0,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """`run` for those who have an event loop."""
    _check(
        concurrency,
        arrivals,
        requests=requests,
        rate=rate,
        seconds=seconds,
        timeout=timeout,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
    )
    traffic = await open_traffic(
        url,
        model=model,
        key=key,
        timeout=timeout,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        prefix_tokens=prefix_tokens,
        stream=stream,
        seed=seed,
    )
    levels = []
    say = progress or (lambda _: None)
    try:
        if rate:
            say(f"{rate:g} requests per second …")
            count = requests or max(1, round(rate * seconds))
            samples, wall, late = await open_loop(traffic, rate, count, arrivals)
            levels.append(
                {"rate": rate, "arrivals": arrivals, **summary(samples, wall)}
                | {"sent_late": quantiles(late)}
            )
        for level in () if rate else concurrency:
            say(f"{level} concurrent clients …")
            samples, wall = await closed_loop(traffic, level, requests or max(8, 4 * level))
            levels.append({"concurrency": level, **summary(samples, wall)})
    finally:
        traffic.client.close()
    return {
        "url": url,
        "model": traffic.model,
        "stream": stream,
        "output_tokens": output_tokens,
        "prefix_tokens": prefix_tokens,
        "prompt_words": traffic.words,
        "left_out": traffic.left_out,
        "levels": levels,
    }


def run(url: str, **options: Any) -> dict[str, Any]:
    """Measure the server at `url`; options and their defaults are those of `measure`.

    `concurrency` gives the levels of a closed loop (`requests` at each, by default four for each
    client and eight at least); `rate` instead sends so many a second for `seconds`. `left_out`
    names what the server refused: without `ignore_eos` answers may be shorter than
    `output_tokens`. Raises Unavailable, Unauthorized, Forbidden, NotFound or BadInput.
    """
    return _run(measure(url, **options))


def _run(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _check(concurrency: Sequence[int], arrivals: str, **numbers: float | None) -> None:
    if not concurrency or min(concurrency) < 1:
        raise BadInput(f"Invalid concurrency {list(concurrency)}: each level must be at least 1.")
    if arrivals not in ("poisson", "fixed"):
        raise BadInput(f"Invalid arrivals {arrivals!r}: must be poisson or fixed.")
    for name, value in numbers.items():
        if value is not None and not value > 0:
            raise BadInput(f"Invalid {name} {value!r}: must be greater than 0.")


def table(result: dict[str, Any]) -> str:
    """The result for a terminal: a line for each level, times in milliseconds."""
    heads = (
        "clients",
        "req/s",
        "tokens/s",
        "first token p50",
        "p95",
        "p99",
        "per token p50",
        "p95",
        "p99",
        "total p50",
        "p95",
        "ok",
        "429",
        "errors",
    )
    rows = []
    for level in result["levels"]:
        rate = level.get("rate")
        times = [
            f"{1000 * level[what][share]:.1f}" if level[what] else "–"
            for what, shares in (
                ("first_token", (50, 95, 99)),
                ("inter_token", (50, 95, 99)),
                ("latency", (50, 95)),
            )
            for share in (f"p{number}" for number in shares)
        ]
        errors = ", ".join(f"{count} {kind}" for kind, count in level["errors"].items())
        rows.append(
            (
                f"{rate:g}/s" if rate else str(level["concurrency"]),
                f"{level['requests_per_second']:.1f}",
                f"{level['tokens_per_second']:.0f}",
                *times,
                str(level["ok"]),
                str(level["refused"]),
                errors or "0",
            )
        )
    about = (
        f"{result['model']} at {result['url']}, {result['output_tokens']} output tokens; "
        "times in ms"
    )
    if result["left_out"]:
        about += f"\nNot supported by the server, not sent: {', '.join(result['left_out'])}."
    return f"{about}\n{cli.table(heads, rows)}"
