"""Similar images: milliseconds of a query among 100,000 vectors, and the share of true neighbours.

    python benchmarks/vision_search.py [--json] [--vectors 100000]

Vectors of 1280 numbers in clusters, like the features of photographs of the same things; queries
are new members of the clusters. The peer is brute force in numpy, which finds the true neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DIMENSION = 1280
CLUSTER = 50  # vectors around one centre
SPREAD = 0.8  # length of the noise, for a centre of length 1: cosines of about 0.6 in a cluster
QUERIES, WARM_UP, K = 500, 20, 10


def milliseconds(call: Callable[[Any], Any], queries: Any) -> tuple[list[float], list[Any]]:
    times, results = [], []
    for query in queries:
        started = time.perf_counter()
        results.append(call(query))
        times.append((time.perf_counter() - started) * 1000)
    return times[WARM_UP:], results


def measure(count: int) -> dict[str, Any]:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the program itself does

    import numpy as np

    from vision_app.search.store import Store
    from seedbed.runs.evaluation import quantile

    rng = np.random.default_rng(0)

    def members(centres: Any) -> Any:
        noise = rng.standard_normal(centres.shape, np.float32) * (SPREAD / DIMENSION**0.5)
        vectors = centres + noise
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    centres = rng.standard_normal((max(1, count // CLUSTER), DIMENSION), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = members(centres[rng.integers(0, len(centres), count)])
    queries = members(centres[rng.integers(0, len(centres), QUERIES)])
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder), None, "benchmark")

        def search(query: Any) -> list[int]:
            with store.open() as (images, _):
                ids = images.query([query], n_results=K, include=[])["ids"][0]
            return [int(i) for i in ids]

        started = time.perf_counter()
        for at in range(0, count, 1000):
            part = vectors[at : at + 1000]
            with store.open(write=True) as (images, _):
                images.upsert(ids=[str(at + i) for i in range(len(part))], embeddings=part)
        built = time.perf_counter() - started
        store.close()  # as a new process does
        started = time.perf_counter()
        search(queries[0])
        first = time.perf_counter() - started
        times, hits = milliseconds(search, queries)
        store.close()
    peer, truth = milliseconds(lambda query: np.argpartition(vectors @ query, -K)[-K:], queries)
    right = sum(
        len(set(nearest) & set(expected.tolist()))
        for nearest, expected in zip(hits, truth, strict=True)
    )
    return {
        "vectors": count,
        "build_seconds": round(built, 1),
        "first_query_seconds": round(first, 2),
        "p50_ms": round(quantile(times, 0.5), 2),
        "p95_ms": round(quantile(times, 0.95), 2),
        "recall_at_10": round(right / (K * QUERIES), 4),
        "brute_force_p50_ms": round(quantile(peer, 0.5), 2),
        "brute_force_p95_ms": round(quantile(peer, 0.95), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--vectors", type=int, default=100_000)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.vectors), indent=None if arguments.json else 2))


if __name__ == "__main__":
    main()
