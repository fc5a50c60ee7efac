"""Start and size: `--help`, a warm server until it is ready, and its memory while it answers.

python benchmarks/start.py [--json]
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from seedbed.testing.launch import free_port

COMMAND = str(Path(sys.executable).with_name("rag-chatbot"))
DOCS = Path(__file__).parent.parent / "docs"
QUESTIONS = ("What is hybrid search?", "What is LoRA?", "What does /readyz return while draining?")
REPEATS = 5


def seconds_of(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([COMMAND, *arguments], capture_output=True, check=True)
    return time.perf_counter() - started


def serve(data: str) -> tuple[float, float]:
    """Seconds from the command to a ready server, and its resident memory in MB after questions."""
    port = free_port()
    started = time.perf_counter()
    server = subprocess.Popen(
        [COMMAND, "serve", str(DOCS), "--port", str(port)],
        env={**os.environ, "RAG_DATA_DIR": data},
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _answers(f"http://127.0.0.1:{port}/readyz"):
            if server.poll() is not None or time.perf_counter() - started > 60:
                raise SystemExit("The server did not start.")
            time.sleep(0.02)
        ready = time.perf_counter() - started
        for question in QUESTIONS * 10:
            _ask(port, question)
        return ready, resident_mb(server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=2).status == 200
    except OSError:
        return False


def _ask(port: int, question: str) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/ask",
        json.dumps({"question": question}).encode(),
        {"content-type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=30).read()


def resident_mb(pid: int) -> float:
    import psutil

    return psutil.Process(pid).memory_info().rss / 1e6


def main() -> dict[str, Any]:
    seconds_of("--help")
    with tempfile.TemporaryDirectory() as data:
        serve(data)  # makes the index, so that the next start is a warm one
        starts = [serve(data) for _ in range(REPEATS)]
    return {
        "help_seconds": round(statistics.median(seconds_of("--help") for _ in range(REPEATS)), 3),
        "ready_seconds": round(statistics.median(ready for ready, _ in starts), 2),
        "ready_range": [round(min(s for s, _ in starts), 2), round(max(s for s, _ in starts), 2)],
        "resident_mb": round(max(size for _, size in starts)),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=None if "--json" in sys.argv else 2))
