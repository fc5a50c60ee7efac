"""Retrieval quality on a collection in the BEIR layout: nDCG@10, recall@100 and MRR@10.

    BEIR=DIR python benchmarks/beir.py [--json]

Three rankings are measured: BM25 alone, vectors alone, and the hybrid of both. The collection is
ingested into a temporary store and searched by the code that serves users. No collection ships with
this repository; BEIR is the folder of one (https://github.com/beir-cellar/beir).
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag_chatbot.config import Config
from rag_chatbot.evaluate.questions import temporary_store
from rag_chatbot.read.chunk import chunk, counter
from rag_chatbot.read.document import Block, Document
from rag_chatbot.search.retrieve import POOL, Retriever
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput
from seedbed.files import read_json_lines, read_lines

ARMS: tuple[str, ...] = ("bm25", "dense", "hybrid")
DEPTH = 500  # chunks retrieved per ranking, which come from a hundred documents or more
BATCH_DOCUMENTS = 500  # written to the vector index together
LAYOUT = "A BEIR folder has corpus.jsonl, queries.jsonl and qrels/test.tsv."


@dataclass(frozen=True)
class Beir:
    """A collection: id → (title, text), query id → text, query id → relevant documents."""

    documents: dict[str, tuple[str, str]]
    queries: dict[str, str]
    relevant: dict[str, set[str]]


def evaluate_beir(path: Path, config: Config, embeddings: Any) -> dict[str, Any]:
    """nDCG@10, recall@100 and MRR@10 with binary gains, for BM25, dense and hybrid retrieval.

    `path` contains corpus.jsonl, queries.jsonl and qrels/test.tsv, the layout of BEIR
    (https://github.com/beir-cellar/beir). A document ranks by its best chunk. Queries without a
    relevant document are left out. Raises BadInput with the line if a file is missing or malformed.
    """
    # 1. Read the collection and ingest it into a temporary store.
    data = read_beir(Path(path))
    cases = []
    with temporary_store(config, embeddings) as store:
        _ingest(store, data.documents, config.chunk_tokens)
        retriever = Retriever(store, embeddings, config)
        # 2. Rank the documents for each query in three ways, and measure each ranking.
        for query, relevant in data.relevant.items():
            case: dict[str, Any] = {"id": query}
            for arm, ranked in _rankings(retriever, data.queries[query]).items():
                if _is_itself(data, query):
                    ranked = [document for document in ranked if document != query]
                for measure, value in _measures(ranked, relevant).items():
                    case[f"{arm} {measure}"] = value
            cases.append(case)
    # 3. Average over the queries.
    means: dict[str, Any] = {
        arm: {m: _mean([case[f"{arm} {m}"] for case in cases]) for m in _measures([], set())}
        for arm in ARMS
    }
    return {**means, "queries": len(cases), "documents": len(data.documents), "cases": cases}


def _rankings(retriever: Retriever, question: str) -> dict[str, list[str]]:
    """The document ids in order, for each arm.

    A search may return chunks of fewer than a hundred documents. For recall@100 the hybrid ranking
    continues with the other documents that its arms retrieved.
    """
    if not question.strip():
        return {arm: [] for arm in ARMS}
    alone = {arm: _chunk_ids(retriever, question, arm, DEPTH) for arm in ARMS[:2]}
    rest = [chunk_id for pair in zip(*alone.values(), strict=False) for chunk_id in pair]
    rankings = {**alone, "hybrid": _chunk_ids(retriever, question, "hybrid", POOL) + rest}
    chunk_ids = list(dict.fromkeys(chunk_id for ids in rankings.values() for chunk_id in ids))
    sources = {chunk.id: chunk.source for chunk in retriever.store.chunks(chunk_ids)}
    return {
        arm: list(dict.fromkeys(sources[chunk_id] for chunk_id in ids))
        for arm, ids in rankings.items()
    }


def _chunk_ids(retriever: Retriever, question: str, arm: str, pool: int) -> list[int]:
    if arm == "bm25":
        ranked = retriever.store.text("default", question, pool)
    elif arm == "dense":
        vector = np.asarray(retriever.embeddings.embed_query(question), dtype=np.float32)
        ranked = retriever.store.dense("default", vector, pool)
    else:
        ranked = [(hit.chunk.id, 0.0) for hit in retriever.candidates(question, pool=pool)[0]]
    return [chunk_id for chunk_id, _ in ranked]


def _measures(ranked: list[str], relevant: set[str]) -> dict[str, float]:
    return {
        "ndcg@10": ndcg_at_k(ranked, relevant, 10),
        "recall@100": recall_at_k(ranked, relevant, 100),
        "mrr@10": mrr_at_k(ranked, relevant, 10),
    }


def _is_itself(data: Beir, query: str) -> bool:
    """Whether the query is itself a document, as in ArguAna: retrieving it is not a success.

    An equal id is not enough, because many collections number queries and documents from 1.
    """
    text = " ".join(data.queries[query].split())
    return query in data.documents and text in " ".join(" ".join(data.documents[query]).split())


def _ingest(store: Store, documents: dict[str, tuple[str, str]], tokens: int) -> None:
    store.create_collection("default")
    count = counter(store.embeddings)
    for number, (source, parts) in enumerate(documents.items(), 1):
        document = _document(*parts)
        pieces = chunk(document, tokens, count)
        store.add_document("default", source, "", document, pieces, apply=False)
        if number % BATCH_DOCUMENTS == 0:
            store.update_index()
    store.update_index()


def _text_of(row: dict[str, Any], name: str, where: str, default: str | None = None) -> str:
    """A text field of a JSON object. If it is missing or null, `default`, unless that is None.

    Raises BadInput, beginning with `where`, if it is anything else.
    """
    value = row.get(name, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise BadInput(f"{where}: {name!r} must be text, not {value!r}.")
    return value


def _document(title: str, text: str) -> Document:
    """A document of one paragraph. One with a title only gets it as its text."""
    title, text = (title, text) if text else ("", title)
    return Document(text, (Block("paragraph", 0, len(text)),) if text else (), title)


def read_beir(path: Path) -> Beir:
    """Read a folder in the BEIR layout. Raises BadInput with the file and line of an error."""
    documents = {
        _text_of(row, "_id", where): (
            _text_of(row, "title", where, ""),
            _text_of(row, "text", where),
        )
        for where, row in read_json_lines(path / "corpus.jsonl", hint=LAYOUT)
    }
    queries = {
        _text_of(row, "_id", where): _text_of(row, "text", where)
        for where, row in read_json_lines(path / "queries.jsonl", hint=LAYOUT)
    }
    relevant: dict[str, set[str]] = {}
    qrels = path / "qrels" / "test.tsv"
    for number, (where, line) in enumerate(read_lines(qrels, hint=LAYOUT), 1):
        fields = line.split("\t")
        if number == 1 and fields[-1] == "score":
            continue
        try:
            query, document, score = fields[0], fields[1], float(fields[2])
        except (IndexError, ValueError):
            raise BadInput(
                f"{where}: {line[:80]!r} is not query-id, corpus-id and score."
            ) from None
        if score > 0 and query in queries:
            relevant.setdefault(query, set()).add(document)
    if not relevant or not documents:
        raise BadInput(f"{path} contains no query with a relevant document.")
    return Beir(documents, queries, relevant)


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0


def ndcg_at_k(ranked: Sequence[str], relevant: Collection[str], k: int = 10) -> float:
    """Normalized discounted cumulative gain with binary relevance; 0.0 if nothing is relevant.

    DCG / ideal DCG, where DCG is the sum of 1 / log2(i + 1) over the relevant documents at ranks
    i <= k. Järvelin and Kekäläinen, 2002; https://doi.org/10.1145/582415.582418.
    Raises BadInput if a document occurs twice.

    >>> ndcg_at_k(["a", "b", "c"], {"a", "b"})
    1.0
    >>> round(ndcg_at_k(["x", "a"], {"a"}), 3)
    0.631
    """
    _require_distinct(ranked)
    targets = set(relevant)
    gain = sum(1 / math.log2(i + 2) for i, doc in enumerate(ranked[:k]) if doc in targets)
    ideal = sum(1 / math.log2(i + 2) for i in range(min(len(targets), k)))
    return gain / ideal if ideal else 0.0


def recall_at_k(ranked: Sequence[str], relevant: Collection[str], k: int = 100) -> float:
    """The share of the relevant documents among the first k; 0.0 if nothing is relevant.

    Raises BadInput if a document occurs twice.

    >>> recall_at_k(["a", "x"], {"a", "b"})
    0.5
    """
    _require_distinct(ranked)
    targets = set(relevant)
    return len(targets.intersection(ranked[:k])) / len(targets) if targets else 0.0


def mrr_at_k(ranked: Sequence[str], relevant: Collection[str], k: int = 10) -> float:
    """1 / rank of the first relevant document among the first k, else 0.0 (TREC-8 QA, 1999).

    The mean over all queries is the mean reciprocal rank.

    >>> mrr_at_k(["x", "a", "b"], {"a", "b"})
    0.5
    """
    targets = set(relevant)
    return next((1 / (i + 1) for i, doc in enumerate(ranked[:k]) if doc in targets), 0.0)


def _require_distinct(ranked: Sequence[str]) -> None:
    if len(set(ranked)) != len(ranked):
        raise BadInput("The ranking contains a document twice.", hint="Remove duplicates first.")


def main() -> dict[str, Any]:
    from seedbed.models.embeddings.load_embeddings import load_embeddings
    from seedbed.settings import Settings, load

    folder = Path(os.environ["BEIR"])
    result = evaluate_beir(folder, load(Config), load_embeddings(settings=load(Settings)))
    ndcg = {arm: result[arm]["ndcg@10"] for arm in ARMS}
    return {
        "collection": folder.resolve().name,
        "queries": result["queries"],
        "documents": result["documents"],
        "ndcg@10": ndcg,
        "gain": round(ndcg["hybrid"] - max(ndcg["bm25"], ndcg["dense"]), 4),
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=None if "--json" in sys.argv else 2))
