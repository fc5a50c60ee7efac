"""Retrieval on a folder in the BEIR layout: nDCG@10, recall@100 and MRR@10 of three orders.

The collection is read into a store of its own in a temporary folder and searched by the code that
serves users, so a figure is of what they get. Knows nothing of answers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_chatbot.config import Config
from rag_chatbot.read.chunk import chunk, counter
from rag_chatbot.read.document import Block, Document
from rag_chatbot.search.retrieve import POOL, Arm, Retriever
from rag_chatbot.store.records import index_parts, joined
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput
from seedbed.evaluation import mrr_at_k, ndcg_at_k, recall_at_k
from seedbed.files import read_json_lines, read_lines

ARMS: tuple[Arm, ...] = ("bm25", "dense", "hybrid")
DEPTH = 500  # chunks an arm is asked for, so that a hundred documents are among them
BATCH = 256  # documents embedded together
LAYOUT = "A BEIR folder has corpus.jsonl, queries.jsonl and qrels/test.tsv."

Progress = Callable[[int, int, str], None]  # how many are done, of how many, of what


@dataclass(frozen=True)
class Beir:
    """documents: id → (title, text). queries: id → text. relevant: query id → document ids."""

    documents: dict[str, tuple[str, str]]
    queries: dict[str, str]
    relevant: dict[str, set[str]]


def evaluate_beir(
    path: Path, config: Config, embeddings: Any, *, progress: Progress | None = None
) -> dict[str, Any]:
    """nDCG@10, recall@100 and MRR@10 (binary gains) of bm25, dense and hybrid.

    `path` has corpus.jsonl, queries.jsonl and qrels/test.tsv, as BEIR lays them out
    (https://github.com/beir-cellar/beir). Queries without a relevant document are left out. Each
    document is ingested as one; it ranks by its best chunk. Raises BadInput for a file that is
    missing or malformed, naming the line.
    """
    data = read_beir(Path(path))
    cases = []
    with temporary_store(config, embeddings) as store:
        _ingest(store, data.documents, config.chunk_tokens, progress)
        retriever = Retriever(store, embeddings, config)
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
    means = {
        arm: {m: _mean([case[f"{arm} {m}"] for case in cases]) for m in _measures([], set())}
        for arm in ARMS
    }
    return {**means, "queries": len(cases), "documents": len(data.documents), "cases": cases}


def _rankings(retriever: Retriever, question: str) -> dict[Arm, list[str]]:
    """Documents in order, by arm. What a search does not look at comes last in the hybrid order:
    it counts for recall@100 where the chunks of a search are fewer than a hundred documents."""
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
    """Whether the query is one of the documents (ArguAna): then finding it is no success. An equal
    id alone says nothing: classical collections number both from 1."""
    text = " ".join(data.queries[query].split())
    return query in data.documents and text in " ".join(" ".join(data.documents[query]).split())


def _ingest(
    store: Store, documents: dict[str, tuple[str, str]], tokens: int, progress: Progress | None
) -> None:
    store.create_collection("default")
    count = counter(store.embeddings)
    items = list(documents.items())
    for at in range(0, len(items), BATCH):
        cut = []
        for source, parts in items[at : at + BATCH]:
            document = _document(*parts)
            pieces = chunk(document, tokens, count)
            cut.append((source, document, pieces, index_parts(document, pieces)))
        vectors = store.embed([joined(*part) for *_, parts in cut for part in parts])
        for source, document, pieces, parts in cut:
            store.add_document(
                "default", source, "", document, pieces, parts=parts, vectors=vectors, apply=False
            )
        if progress:
            progress(min(at + BATCH, len(items)), len(items), "documents")
    store.apply_outbox()


def _document(title: str, text: str) -> Document:
    """One paragraph. A document that is only a title has it as its text."""
    title, text = (title, text) if text else ("", title)
    return Document(text, (Block("paragraph", 0, len(text)),) if text else (), title)


def read_beir(path: Path) -> Beir:
    """Read a BEIR folder. Raises BadInput with the file and line of what is wrong."""
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
        raise BadInput(f"{path} has no query with a relevant document.")
    return Beir(documents, queries, relevant)


def text_of(row: dict[str, Any], name: str, where: str, default: str | None = None) -> str:
    """A field that must be text; absent or null is `default`, where there is one."""
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
    """A store of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rag-eval-") as folder:
        own = config.model_copy(update={"data_dir": Path(folder), "chroma_url": None})
        store = Store(own, embeddings)
        try:
            yield store
        finally:
            store.close()
