"""Measure retrieval on a folder in the BEIR layout: nDCG@10, recall@100 and MRR@10.

    rag-chatbot eval --beir datasets/scifact

Three rankings are measured: BM25 alone, vectors alone, and the hybrid of both. The collection is
ingested into a temporary store and searched by the code that serves users. Answers are measured in
`questions.py`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_chatbot.config import Config
from rag_chatbot.evaluate.ranking import mrr_at_k, ndcg_at_k, recall_at_k
from rag_chatbot.read.chunk import chunk, counter
from rag_chatbot.read.document import Block, Document
from rag_chatbot.search.retrieve import POOL, Arm, Retriever
from rag_chatbot.store.records import index_parts, joined
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput
from seedbed.files import read_json_lines, read_lines

ARMS: tuple[Arm, ...] = ("bm25", "dense", "hybrid")
DEPTH = 500  # chunks retrieved per ranking, which come from a hundred documents or more
BATCH_DOCUMENTS = 256  # embedded together
LAYOUT = "A BEIR folder has corpus.jsonl, queries.jsonl and qrels/test.tsv."

Progress = Callable[[int, int, str], None]  # done, total, unit


@dataclass(frozen=True)
class Beir:
    """A collection: id → (title, text), query id → text, query id → relevant documents."""

    documents: dict[str, tuple[str, str]]
    queries: dict[str, str]
    relevant: dict[str, set[str]]


def evaluate_beir(
    path: Path, config: Config, embeddings: Any, *, progress: Progress | None = None
) -> dict[str, Any]:
    """nDCG@10, recall@100 and MRR@10 with binary gains, for BM25, dense and hybrid retrieval.

    `path` contains corpus.jsonl, queries.jsonl and qrels/test.tsv, the layout of BEIR
    (https://github.com/beir-cellar/beir). A document ranks by its best chunk. Queries without a
    relevant document are left out. Raises BadInput with the line if a file is missing or malformed.
    """
    # 1. Read the collection and ingest it into a temporary store.
    data = read_beir(Path(path))
    cases = []
    with temporary_store(config, embeddings) as store:
        _ingest(store, data.documents, config.chunk_tokens, progress)
        retriever = Retriever(store, embeddings, config)
        # 2. Rank the documents for each query in three ways, and measure each ranking.
        for done, (query, relevant) in enumerate(data.relevant.items(), 1):
            case: dict[str, Any] = {"id": query}
            for arm, ranked in _rankings(retriever, data.queries[query]).items():
                if _is_itself(data, query):
                    ranked = [document for document in ranked if document != query]
                for measure, value in _measures(ranked, relevant).items():
                    case[f"{arm} {measure}"] = value
            cases.append(case)
            if progress:
                progress(done, len(data.relevant), "queries")
    # 3. Average over the queries.
    means: dict[str, Any] = {
        arm: {m: _mean([case[f"{arm} {m}"] for case in cases]) for m in _measures([], set())}
        for arm in ARMS
    }
    return {**means, "queries": len(cases), "documents": len(data.documents), "cases": cases}


def _rankings(retriever: Retriever, question: str) -> dict[Arm, list[str]]:
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


def _chunk_ids(retriever: Retriever, question: str, arm: Arm, pool: int) -> list[int]:
    return [chunk_id for chunk_id, _ in retriever.rank(question, arm=arm, pool=pool)]


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


def _ingest(
    store: Store, documents: dict[str, tuple[str, str]], tokens: int, progress: Progress | None
) -> None:
    store.create_collection("default")
    count = counter(store.embeddings)
    items = list(documents.items())
    for at in range(0, len(items), BATCH_DOCUMENTS):
        chunked = []
        for source, parts in items[at : at + BATCH_DOCUMENTS]:
            document = _document(*parts)
            pieces = chunk(document, tokens, count)
            chunked.append((source, document, pieces, index_parts(document, pieces)))
        vectors = store.embed([joined(*part) for *_, parts in chunked for part in parts])
        for source, document, pieces, indexed in chunked:
            store.add_document(
                "default", source, "", document, pieces, parts=indexed, vectors=vectors, apply=False
            )
        if progress:
            progress(min(at + BATCH_DOCUMENTS, len(items)), len(items), "documents")
    store.apply_outbox()


def _document(title: str, text: str) -> Document:
    """A document of one paragraph. One with a title only gets it as its text."""
    title, text = (title, text) if text else ("", title)
    return Document(text, (Block("paragraph", 0, len(text)),) if text else (), title)


def read_beir(path: Path) -> Beir:
    """Read a folder in the BEIR layout. Raises BadInput with the file and line of an error."""
    documents = {
        text_of(row, "_id", where): (text_of(row, "title", where, ""), text_of(row, "text", where))
        for where, row in read_json_lines(path / "corpus.jsonl", hint=LAYOUT)
    }
    queries = {
        text_of(row, "_id", where): text_of(row, "text", where)
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


def text_of(row: dict[str, Any], name: str, where: str, default: str | None = None) -> str:
    """A text field of a JSON object. If it is missing or null, `default`, unless that is None.

    Raises BadInput, beginning with `where`, if it is anything else.
    """
    value = row.get(name, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise BadInput(f"{where}: {name!r} must be text, not {value!r}.")
    return value


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0


@contextmanager
def temporary_store(config: Config, embeddings: Any) -> Iterator[Store]:
    """A store in a temporary folder, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="rag-eval-") as folder:
        own = config.model_copy(update={"data_dir": Path(folder), "chroma_url": None})
        store = Store(own, embeddings)
        try:
            yield store
        finally:
            store.close()
