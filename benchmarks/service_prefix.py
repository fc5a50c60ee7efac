"""A second request with the same 1000-token prefix: time to its first token.

    python benchmarks/service_prefix.py [--json]

Each pair has a prefix of its own and two questions; the second one finds the prefix in the cache.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
from typing import Any

import load
import service_peers as peers

PREFIX_TOKENS = 1000
WORDS = 20  # of a question
PAIRS = 15


async def pairs(url: str) -> tuple[list[float], list[float], int]:
    """Seconds to the first token, of first and of second requests; tokens of a prompt."""
    first, second = [], []
    async with load.open_session() as session:
        for seed in range(PAIRS + 1):
            traffic = load.Traffic(
                session,
                url,
                "smollm2",
                words=WORDS,
                output_tokens=8,
                prefix_tokens=PREFIX_TOKENS,
                seed=seed,
            )
            for times in (first, second):
                sample = await traffic.send()
                if sample.first is None:
                    raise SystemExit(f"{url}: {sample.error}")
                times.append(sample.first - sample.started)
    return first[1:], second[1:], sample.prompt_tokens or 0


def in_the_engine() -> tuple[list[float], list[float]]:
    engine = peers.Worker(sys.executable, str(peers.HERE / "raw_engine.py"))
    times: tuple[list[float], list[float]] = [], []
    for seed in range(PAIRS + 1):
        prefix = load.prompt(seed, "prefix", PREFIX_TOKENS)
        for number, kept in enumerate(times):
            text = f"{prefix} {load.prompt(seed, number + 1, WORDS)}"
            found = engine.run(prompts=[text], level=1, output_tokens=8)
            kept.append(found["first_token"]["p50"])
    engine.close()
    return times[0][1:], times[1][1:]


def main() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as data, peers.service(data) as server:
        first, second, tokens = asyncio.run(pairs(server.url))
    engine_first, engine_second = in_the_engine()
    return {
        "prompt_tokens": tokens,
        "first_token_again": round(statistics.median(second), 4),
        "first_token_again_p95": round(statistics.quantiles(second, n=20)[18], 4),
        "first_token_new": round(statistics.median(first), 4),
        "engine_first_token_again": round(statistics.median(engine_second), 4),
        "engine_first_token_new": round(statistics.median(engine_first), 4),
        "pairs": PAIRS,
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=None if "--json" in sys.argv else 2))
