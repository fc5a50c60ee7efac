"""Ten minutes at one and a half times what the local model can do: nothing crashes, leaks or hangs.

    python benchmarks/service_soak.py

Requests come at random times whether or not the last ones are answered. Those beyond the queue
must be refused with 429 at once, and those accepted must all be answered whole.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from typing import Any

import load
import service_peers as peers

OVERLOAD = 1.5
MINUTES = 10
WINDOW = 60.0  # seconds of warm-up, and of each median of the memory, at the start and at the end
OUTPUT_TOKENS = 64


class Memory(threading.Thread):
    """Resident MB of the server and its workers, once a second; the processes it has seen."""

    def __init__(self, server: peers.Server) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.samples: list[tuple[float, float]] = []
        self.pids = {one.pid for one in server.processes()}
        self.over = threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        while not self.over.wait(1.0):
            self.samples.append((time.monotonic() - began, self.server.resident_mb()))

    def between(self, start: float, end: float) -> float:
        return statistics.median(mb for at, mb in self.samples if start <= at <= end)


def main() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as data, peers.service(data) as server:
        load.run(server.url, concurrency=(16,), requests=32, seed=1)
        probe = load.run(server.url, concurrency=(16,), requests=96, seed=2)
        capacity = probe["levels"][0]["requests_per_second"]
        memory = Memory(server)
        memory.start()
        began = time.monotonic()
        row = load.run(
            server.url,
            rate=OVERLOAD * capacity,
            seconds=60 * MINUTES,
            seed=3,
            output_tokens=OUTPUT_TOKENS,
            timeout=300,
        )["levels"][0]
        memory.over.set()
        memory.join()
        alive = {one.pid for one in server.processes()} == memory.pids
        answer = peers.ask(server, "What is the capital of France?")
        elapsed = time.monotonic() - began
    before = memory.between(WINDOW, 2 * WINDOW)
    after = memory.between(elapsed - WINDOW, elapsed)
    refused = row["refused_latency"] or {"p50": None, "p99": None}
    return {
        "minutes": MINUTES,
        "capacity_per_second": capacity,
        "rate": row["rate"],
        "requests": row["requests"],
        "answered": row["ok"],
        "refused": row["refused"],
        "unfinished": sum(row["errors"].values()),
        "errors": row["errors"],
        "same_processes": alive,
        "says_after": answer,
        "refused_p50_ms": refused["p50"] and round(1000 * refused["p50"], 2),
        "refused_p99_ms": refused["p99"] and round(1000 * refused["p99"], 2),
        "tokens_per_second": row["tokens_per_second"],
        "first_token": row["first_token"],
        "resident_mb_warm": round(before, 1),
        "resident_mb_end": round(after, 1),
        "growth_percent": round(100 * (after / before - 1), 2),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
