"""Retrieval on a folder in the BEIR layout: nDCG@10, recall@100 and MRR@10 of three orders.

The collection is read into a store of its own in a temporary folder and searched by the code that
serves users, so a figure is of what they get. Knows nothing of answers.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag_chatbot.config import Config
from rag_chatbot.read.chunk import chunk, counter
from rag_chatbot.read.document import Block, Document
from rag_chatbot.search.retrieve import Arm, Ranked, Retriever
from rag_chatbot.store.records import index_parts, joined
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput
from seedbed.evaluation import mrr_at_k, ndcg_at_k, recall_at_k

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
    means: dict[str, dict[str, float]] = {
        arm: {m: _mean([case[f"{arm} {m}"] for case in cases]) for m in _measures([], set())}
        for arm in ARMS
    }
    return {**means, "queries": len(cases), "documents": len(data.documents), "cases": cases}


def _rankings(retriever: Retriever, question: str) -> dict[Arm, list[str]]:
    """Documents in order, by arm. What a search does not look at comes last in the hybrid order:
    it counts for recall@100 where the chunks of a search are fewer than a hundred documents."""
    if not question.strip():
        return {arm: [] for arm in ARMS}
    found = {arm: retriever.rank(question, arm=arm, pool=DEPTH) for arm in ARMS[:2]}
    hybrid = retriever.rank(question)
    rest = [item for pair in zip(*found.values(), strict=False) for item in pair]
    order = {**found, "hybrid": hybrid + rest}
    ids = list(dict.fromkeys(item.id for items in order.values() for item in items))
    sources = {c.id: c.source for c in retriever.store.chunks(ids)}
    return {arm: _documents(items, sources) for arm, items in order.items()}


def _documents(ranked: Sequence[Ranked], sources: Mapping[int, str]) -> list[str]:
    return list(dict.fromkeys(sources[item.id] for item in ranked))


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
        for source, title_and_text in items[at : at + BATCH]:
            document = _document(*title_and_text)
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
        for where, row in json_lines(path / "corpus.jsonl")
    }
    queries = {
        text_of(row, "_id", where): text_of(row, "text", where)
        for where, row in json_lines(path / "queries.jsonl")
    }
    relevant: dict[str, set[str]] = {}
    qrels = path / "qrels" / "test.tsv"
    for number, line in enumerate(_lines(qrels), 1):
        fields = line.split("\t")
        if not line.strip() or (number == 1 and fields[-1:] == ["score"]):
            continue
        try:
            query, document, score = fields[0], fields[1], float(fields[2])
        except (IndexError, ValueError):
            raise BadInput(
                f"{qrels}, line {number}: {line[:80]!r} is not query-id, corpus-id and score."
            ) from None
        if score > 0 and query in queries:
            relevant.setdefault(query, set()).add(document)
    if not relevant or not documents:
        raise BadInput(f"{path} has no query with a relevant document.")
    return Beir(documents, queries, relevant)


def _lines(path: Path, hint: str = LAYOUT) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.", hint=hint) from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text.") from None


def json_lines(path: Path, *, hint: str = LAYOUT) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and line, object) of each line that is not blank. Raises BadInput."""
    for number, line in enumerate(_lines(path, hint), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadInput(f"{where}: not JSON ({error}).") from None
        if not isinstance(row, dict):
            raise BadInput(f"{where}: not a JSON object.")
        yield where, row


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
