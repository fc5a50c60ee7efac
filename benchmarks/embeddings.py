"""How fast MiniLM embeds, here and in sentence-transformers: python benchmarks/embeddings.py

Chunks of about 110 tokens of this repository's handbook. The candidates take turns, so that a busy
moment affects all of them; median and range of the repetitions. If the extra
`multilingual` is installed, also multilingual-e5: its speed, and how often either model ranks the
right one of 36 passages in six languages first.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seedbed.errors import WeightsError
from seedbed.models.embeddings.bert import BertEmbeddings
from seedbed.models.embeddings.load_embeddings import load_embeddings
from seedbed.models.weights.catalog import MODELS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAIRS = ROOT / "shared/tests/models/embeddings/multilingual.jsonl"
QUERY = "how do I keep the index when a document changes?"
WORDS, CHUNKS, REPEATS = 80, 256, 5


def main() -> None:
    fast, full = load("minilm"), load("minilm", fast=False)
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
    try:
        result["multilingual"] = multilingual(fast, load("multilingual-e5"), chunks)
    except WeightsError as error:
        print(error, file=sys.stderr)
    print(json.dumps(result, indent=2))


def load(name: str, *, fast: bool = True) -> BertEmbeddings:
    model = load_embeddings(name, fast=fast)
    assert isinstance(model, BertEmbeddings)
    return model


def multilingual(minilm: BertEmbeddings, e5: BertEmbeddings, chunks: list[str]) -> dict[str, Any]:
    models = {"minilm": minilm, "multilingual-e5": e5}
    rates = compare({name: m.embed for name, m in models.items()}, chunks, len(chunks))
    medians = {name: figures["median"] for name, figures in rates.items()}
    pairs = [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()]
    return {
        "texts_per_second": rates,
        "index_time_ratio": round(medians["minilm"] / medians["multilingual-e5"], 2),
        "recall_at_1": {
            questions: {
                name: recall_at_1(model, pairs, questions) for name, model in models.items()
            }
            for questions in ("question", "english")
        },
    }


def recall_at_1(model: BertEmbeddings, pairs: list[dict[str, str]], questions: str) -> float:
    passages = model.embed([pair["passage"] for pair in pairs])
    queries = model.embed([pair[questions] for pair in pairs], queries=len(pairs))
    best = (queries @ passages.T).argmax(axis=1)
    return round(float((best == np.arange(len(pairs))).mean()), 3)


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
