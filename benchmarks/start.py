"""Start and size: `--help`, a warm server until it is ready, and its memory while it answers.

    python benchmarks/start.py rag|service

The service is warm once a token is generated; its memory is that after 16 streams at once.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import load
import service_peers as peers

from seedbed.testing.launch import free_port

DOCS = Path(__file__).parent.parent / "docs"
QUESTIONS = ("What is hybrid search?", "What is LoRA?", "What does /readyz return while draining?")
REPEATS = 5


def command(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def seconds_of(*argv: str) -> float:
    started = time.perf_counter()
    subprocess.run(argv, capture_output=True, check=True)
    return time.perf_counter() - started


def serve_rag(data: str) -> tuple[float, float]:
    """Seconds from the command to a ready server, and its resident memory in MB after questions."""
    port = free_port()
    argv = [command("rag-chatbot"), "serve", str(DOCS), "--port", str(port)]
    with peers.start(argv, port, "/readyz", env={"RAG_DATA_DIR": data}) as server:
        for question in QUESTIONS * 10:
            body = {"question": question}
            httpx.post(f"{server.url}/v1/ask", json=body, timeout=300).raise_for_status()
        return server.ready_seconds, server.resident_mb()


def serve_service(data: str) -> tuple[float, float]:
    with peers.service(data) as server:
        load.run(server.url, concurrency=(16,), requests=64)
        return server.ready_seconds, server.resident_mb()


def main(project: str) -> dict[str, Any]:
    program, serve = {
        "rag": (command("rag-chatbot"), serve_rag),
        "service": (peers.COMMAND, serve_service),
    }[project]
    seconds_of(program, "--help")
    with tempfile.TemporaryDirectory() as data:
        serve(data)  # makes the index or converts the weights, so that the next start is a warm one
        starts = [serve(data) for _ in range(REPEATS)]
    ready = [seconds for seconds, _ in starts]
    helps = [seconds_of(program, "--help") for _ in range(REPEATS)]
    return {
        "help_seconds": round(statistics.median(helps), 3),
        "ready_seconds": round(statistics.median(ready), 2),
        "ready_range": [round(min(ready), 2), round(max(ready), 2)],
        "resident_mb": round(max(size for _, size in starts)),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1]), indent=2))
