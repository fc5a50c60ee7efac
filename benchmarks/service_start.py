"""Start and size: `llm-service --help`, a warm server until a token is generated, its memory.

python benchmarks/service_start.py [--json]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import service_peers as peers
from load import bench

REPEATS = 5


def seconds_of(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([peers.COMMAND, *arguments], capture_output=True, check=True)
    return time.perf_counter() - started


def serve(data: str, load: bool = False) -> tuple[float, float, float]:
    """Seconds to ready, and resident MB then and (with `load`) after 16 streams at once."""
    with peers.service(data) as server:
        ready, fresh = server.ready_seconds, server.resident_mb()
        if load:
            bench.run(server.url, concurrency=(16,), requests=64)
        return ready, fresh, server.resident_mb()


def main() -> dict[str, Any]:
    seconds_of("--help")
    with tempfile.TemporaryDirectory() as data:
        serve(data)  # converts the weights and makes the database
        starts = [serve(data) for _ in range(REPEATS)]
        _, fresh, loaded = serve(data, load=True)
    ready = [seconds for seconds, _, _ in starts]
    return {
        "help_seconds": round(statistics.median(seconds_of("--help") for _ in range(REPEATS)), 3),
        "ready_seconds": round(statistics.median(ready), 2),
        "ready_range": [round(min(ready), 2), round(max(ready), 2)],
        "fresh_mb": round(fresh),
        "resident_mb": round(loaded),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=None if "--json" in sys.argv else 2))
