"""Retrieval: milliseconds of one search at 20,000 chunks, and of each of its two halves.

    python benchmarks/retrieval.py

Questions contain 4 to 12 consecutive words of the collection, and each is asked once; a search
includes embedding the question, both indexes, fusion and reading the chunks.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corpus
import numpy as np

CHUNKS = 20_000
WARM_UP = 50
QUESTIONS = 400


def questions(passages: list[str], count: int) -> list[str]:
    rng = random.Random(0)
    texts = []
    for passage in rng.choices(passages, k=count):
        words = passage.split()[2:]
        size = rng.randint(4, 12)
        start = rng.randrange(max(1, len(words) - size))
        texts.append(f"How does {' '.join(words[start : start + size])} work?")
    return texts


def milliseconds(call: Callable[[str], Any], asked: list[str]) -> list[float]:
    times = []
    for question in asked:
        started = time.perf_counter()
        call(question)
        times.append((time.perf_counter() - started) * 1000)
    return times


def main() -> dict[str, Any]:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the program itself does

    from rag_chatbot.config import Config
    from rag_chatbot.ingest import ingest
    from rag_chatbot.search.retrieve import POOL, Retriever
    from rag_chatbot.store.store import Store
    from seedbed.models.embeddings.load_embeddings import load_embeddings
    from seedbed.runs.evaluation import quantile

    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "files")
        corpus.write(files, CHUNKS * 3 // 5)  # some of its passages become two chunks
        embeddings = load_embeddings()
        config = Config(data_dir=Path(folder, "data"))
        store = Store(config, embeddings)
        stored = ingest(store, [files]).chunks
        retriever = Retriever(store, embeddings, config)
        asked = questions(list(corpus.passages(CHUNKS * 3 // 5)), WARM_UP + QUESTIONS)
        milliseconds(retriever.search, asked[:WARM_UP])
        hybrid = milliseconds(retriever.search, asked[WARM_UP:])
        collection = store.collections.get("default")
        searches = {
            "dense": lambda q: store.vector_search(
                collection, np.array(embeddings.embed_query(q)), POOL
            ),
            "bm25": lambda q: store.keyword_search(collection, q, POOL),
        }
        arms = {arm: milliseconds(search, asked[WARM_UP:]) for arm, search in searches.items()}
        store.close()
    return {
        "chunks": stored,
        "queries": QUESTIONS,
        "p50_ms": round(quantile(hybrid, 0.5), 2),
        "p95_ms": round(quantile(hybrid, 0.95), 2),
        **{f"{arm}_p50_ms": round(quantile(times, 0.5), 2) for arm, times in arms.items()},
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
