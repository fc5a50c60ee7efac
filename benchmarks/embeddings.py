"""How fast MiniLM embeds, here and in sentence-transformers: python benchmarks/embeddings.py

Chunks of about 110 tokens of this repository's handbook, alternating between the candidates, so
that a busy moment meets all of them; median and range of the repetitions.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seedbed.models.embeddings.load import MiniLM, load_embeddings
from seedbed.models.weights.catalog import MODELS

DOCS = Path(__file__).parents[1] / "docs"
QUERY = "how do I keep the index when a document changes?"
WORDS, CHUNKS, REPEATS = 80, 256, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json

    fast, full = load_embeddings("minilm"), load_embeddings("minilm", fast=False)
    assert isinstance(fast, MiniLM) and isinstance(full, MiniLM)
    peer = sentence_transformers()
    candidates: dict[str, Callable[[Sequence[str]], Any]] = {
        "seedbed int8": fast.embed,
        "seedbed float32": full.embed,
        "sentence-transformers": lambda texts: peer.encode(list(texts), batch_size=32),
    }
    chunks = read_chunks()
    result: dict[str, Any] = {
        "tokens_per_chunk": round(statistics.mean(fast.token_counts(chunks)), 1),
        "texts_per_second": compare(candidates, chunks, len(chunks)),
        "query_ms": {
            name: {key: round(1000 / value, 2) for key, value in figures.items()}
            for name, figures in compare(candidates, [QUERY], 1, repeats=50).items()
        },
    }
    print(json.dumps(result, indent=None if as_json else 2))


def sentence_transformers() -> Any:
    from importlib import metadata

    from sentence_transformers import SentenceTransformer

    entry = MODELS["minilm"]
    path = metadata.distribution(entry.package).locate_file(entry.files[0].path)
    return SentenceTransformer(str(Path(str(path)).parent), device="cpu")


def read_chunks() -> list[str]:
    text = " ".join(path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md")))
    words = text.split()
    words *= 1 + WORDS * CHUNKS // max(len(words), 1)
    return [" ".join(words[i * WORDS : (i + 1) * WORDS]) for i in range(CHUNKS)]


def compare(
    candidates: dict[str, Callable[[Sequence[str]], Any]],
    texts: Sequence[str],
    count: int,
    repeats: int = REPEATS,
) -> dict[str, dict[str, float]]:
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in range(repeats + 2):
        for name, embed in candidates.items():
            start = time.perf_counter()
            embed(texts)
            if repeat >= 2:  # the first ones compile kernels for these lengths
                rates[name].append(count / (time.perf_counter() - start))
    return {
        name: {
            "median": round(statistics.median(values), 1),
            "low": round(min(values), 1),
            "high": round(max(values), 1),
        }
        for name, values in rates.items()
    }


if __name__ == "__main__":
    main()
