"""What the service adds to an answer: a stub upstream asked directly and through gateways.

    PEERS=FOLDER python benchmarks/service_overhead.py

Requests come at fixed times, 50, 100 and 200 a second, whole answers and streams. Ours has a key
with limits and a budget, accounting and metrics on; LiteLLM's proxy has a master key and no
database. The stub answers at once, so that all of the difference is the gateway's.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import load
import service_peers as peers

RATES = (50, 100, 200)
PEER_RATES = (50, 100)
SECONDS = 10.0
REPEATS = 3
OUTPUT_TOKENS = 8


def models_file(folder: str, upstream: str) -> Path:
    path = Path(folder, "models.toml")
    path.write_text(
        f'[models.stub]\nbackend = "openai"\nbase_url = "{upstream}/v1"\nmodel = "stub"\n'
        "price_in = 0.15\nprice_out = 0.6\n"
    )
    return path


def make_key(data: str) -> str:
    """A key whose limits are all counted and never reached."""
    limits = "--rpm 1000000 --tpm 1000000000 --concurrency 1000 --budget-usd 1000"
    done = subprocess.run(
        [peers.COMMAND, *f"keys create --name benchmark --json {limits}".split()],
        env={**peers.os.environ, "SERVICE_DATA_DIR": data},
        check=True,
        capture_output=True,
    )
    return str(json.loads(done.stdout)["key"])


def measure(server: peers.Server, key: str, rate: int, stream: bool, seed: int) -> dict[str, Any]:
    result = load.run(
        server.url,
        model="stub",
        key=key or None,
        rate=rate,
        seconds=SECONDS,
        fixed=True,
        exact=False,
        stream=stream,
        output_tokens=OUTPUT_TOKENS,
        seed=seed,
        timeout=60,
    )
    row = result["levels"][0]
    if not row["ok"]:
        raise SystemExit(f"{server.process.args}: {row['errors']}")
    return row


def main() -> dict[str, Any]:
    runs: dict[tuple[str, bool, int], list[dict[str, Any]]] = defaultdict(list)
    about: dict[str, Any] = {"ready_seconds": {}, "resident_mb": {}, "versions": {}}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        upstream = stack.enter_context(peers.stub("--tokens", str(OUTPUT_TOKENS)))
        key = make_key(folder)
        ours = peers.service(folder, "--models", str(models_file(folder, upstream.url)))
        servers = {
            "direct": (upstream, "", RATES),
            "service": (stack.enter_context(ours), key, RATES),
        }
        if peers.python_of("litellm"):
            theirs = stack.enter_context(peers.litellm(upstream.url, folder))
            servers["litellm"] = (theirs, peers.MASTER_KEY, PEER_RATES)
            about["versions"]["litellm"] = peers.version_of("litellm", "litellm")
        for repeat in range(REPEATS + 1):  # the first one warms up
            for stream in (False, True):
                for rate in RATES:
                    for name, (server, secret, rates) in servers.items():
                        if rate not in rates or (repeat == 0 and rate != 50):
                            continue
                        row = measure(server, secret, rate, stream, repeat)
                        print(name, stream, rate, row["latency"], file=sys.stderr)
                        if repeat:
                            runs[name, stream, rate].append(row)
        for name, (server, _, _) in servers.items():
            about["ready_seconds"][name] = round(server.ready_seconds, 2)
            about["resident_mb"][name] = round(server.resident_mb())
    return {**figures(runs), **about}


def added(
    runs: dict[tuple[str, bool, int], list[dict[str, Any]]],
    name: str,
    stream: bool,
    rate: int,
    what: str,
    share: str,
) -> float:
    """Milliseconds above the direct answer, each the median of the repetitions."""
    through, direct = (
        statistics.median(row[what][share] for row in runs[who, stream, rate])
        for who in (name, "direct")
    )
    return round(1000 * (through - direct), 2)


def figures(runs: dict[tuple[str, bool, int], list[dict[str, Any]]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, stream, rate in runs:
        if name == "direct":
            continue
        kind = "stream" if stream else "whole"
        row = result.setdefault(name, {}).setdefault(kind, {})[rate] = {
            f"added_{share}_ms": added(runs, name, stream, rate, "latency", share)
            for share in ("p50", "p95", "p99")
        }
        if stream:
            row["added_first_token_p50_ms"] = added(runs, name, stream, rate, "first_token", "p50")
        row["answered_per_second"] = statistics.median(
            each["requests_per_second"] for each in runs[name, stream, rate]
        )
        row["errors"] = sum(
            each["refused"] + sum(each["errors"].values()) for each in runs[name, stream, rate]
        )
    direct = {
        f"{'stream' if stream else 'whole'} {rate}": row[0]["latency"]
        for (name, stream, rate), row in runs.items()
        if name == "direct"
    }
    return {**result, "direct": direct}


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
