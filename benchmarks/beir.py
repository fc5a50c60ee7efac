"""Retrieval quality on a collection in the BEIR layout: nDCG@10 of BM25, vectors and the hybrid.

    BEIR=DIR python benchmarks/beir.py

The collection is ingested into a temporary store and searched by the code that serves users. None
ships with this repository; BEIR is the folder of one (https://github.com/beir-cellar/beir), with
corpus.jsonl, queries.jsonl and qrels/test.tsv. A document ranks by its best chunk.
"""

from __future__ import annotations

import json
import math
import os
import statistics
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag_chatbot.config import Config
from rag_chatbot.evaluate.questions import temporary_store
from rag_chatbot.read.chunk import chunk, counter
from rag_chatbot.read.document import Block, Document
from rag_chatbot.search.retrieve import POOL, Retriever
from rag_chatbot.store.store import Store
from seedbed.files import read_json_lines

DEPTH = 500  # chunks for each ranking


def evaluate_beir(folder: Path, config: Config, embeddings: Any) -> dict[str, Any]:
    """The mean nDCG@10 of each ranking over the queries that have a relevant document."""
    # 1. Read the collection.
    documents = {
        row["_id"]: (row.get("title") or "", row["text"])
        for _, row in read_json_lines(folder / "corpus.jsonl")
    }
    queries = {row["_id"]: row["text"] for _, row in read_json_lines(folder / "queries.jsonl")}
    relevant: dict[str, set[str]] = defaultdict(set)
    for line in (folder / "qrels/test.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, score = line.split("\t")
        if float(score) > 0 and query in queries:
            relevant[query].add(document)
    # 2. Ingest it, and rank the documents for each query in three ways.
    gains: dict[str, list[float]] = defaultdict(list)
    with temporary_store(config, embeddings) as store:
        _ingest(store, documents, config.chunk_tokens)
        retriever = Retriever(store, embeddings, config)
        for query, targets in relevant.items():
            for arm, ranked in _rankings(retriever, queries[query]).items():
                # In ArguAna a query is itself a document; finding it is not a success.
                others = [one for one in ranked if documents[one][1] != queries[query]]
                gains[arm].append(ndcg(others, targets))
    # 3. Average over the queries.
    means = {arm: round(statistics.mean(values), 4) for arm, values in gains.items()}
    return {"queries": len(relevant), "documents": len(documents), "ndcg@10": means}


def _ingest(store: Store, documents: dict[str, tuple[str, str]], tokens: int) -> None:
    store.collections.create("default")
    count = counter(store.embeddings)
    for source, (title, text) in documents.items():
        body, title = (text, title) if text else (title, "")
        blocks = (Block("paragraph", 0, len(body)),) if body else ()
        document = Document(body, blocks, title)
        pieces = chunk(document, tokens, count)
        store.add_document("default", source, "", document, pieces)
    store.update_index()


def _rankings(retriever: Retriever, question: str) -> dict[str, list[str]]:
    """The document ids in order, for each ranking."""
    vector = np.asarray(retriever.embeddings.embed_query(question), dtype=np.float32)
    collection = retriever.store.collections.get("default")
    hits = retriever.candidates(question, collection, pool=POOL)[0]
    chunks = {
        "bm25": [
            chunk_id for chunk_id, _ in retriever.store.keyword_search(collection, question, DEPTH)
        ],
        "dense": [
            chunk_id for chunk_id, _ in retriever.store.vector_search(collection, vector, DEPTH)
        ],
        "hybrid": [hit.chunk.id for hit in hits],
    }
    every = list({chunk_id for ids in chunks.values() for chunk_id in ids})
    sources = {chunk.id: chunk.source for chunk in retriever.store.chunks(every)}
    return {arm: list(dict.fromkeys(sources[one] for one in ids)) for arm, ids in chunks.items()}


def ndcg(ranked: Sequence[str], relevant: Collection[str], k: int = 10) -> float:
    """Normalized discounted cumulative gain with binary relevance (Järvelin and Kekäläinen, 2002).

    >>> ndcg(["a", "b", "c"], {"a", "b"})
    1.0
    >>> round(ndcg(["x", "a"], {"a"}), 3)
    0.631
    """
    gain = sum(1 / math.log2(i + 2) for i, name in enumerate(ranked[:k]) if name in relevant)
    return gain / sum(1 / math.log2(i + 2) for i in range(min(len(relevant), k)))


def main() -> dict[str, Any]:
    from seedbed.models.embeddings.load_embeddings import load_embeddings
    from seedbed.settings import Settings, load

    folder = Path(os.environ["BEIR"])
    result = evaluate_beir(folder, load(Config), load_embeddings(settings=load(Settings)))
    means = result["ndcg@10"]
    gain = round(means["hybrid"] - max(means["bm25"], means["dense"]), 4)
    return {"collection": folder.resolve().name, **result, "gain": gain}


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
