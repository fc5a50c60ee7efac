"""A second request with the same 1000-token prefix: time to its first token.

    python benchmarks/service_prefix.py

Each pair has a prefix of its own and two questions; the second one finds the prefix in the cache.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
from typing import Any

import load
import service_peers as peers

PREFIX_TOKENS = 1000
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


def main() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as data, peers.service(data) as server:
        first, second, tokens = asyncio.run(pairs(server.url))
    return {
        "prompt_tokens": tokens,
        "first_token_again": round(statistics.median(second), 4),
        "first_token_again_p95": round(statistics.quantiles(second, n=20)[18], 4),
        "first_token_new": round(statistics.median(first), 4),
        "pairs": PAIRS,
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
