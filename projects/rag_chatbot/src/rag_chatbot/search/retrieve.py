"""Retrieval: the chunks that match a question, by meaning and by words.

    hits = Retriever(store, embeddings, config).search("How do I change the port?")

Both searches run side by side, their scores are fused (`fusion`), and repeats are dropped. Reading
documents and making answers is left to others.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from rag_chatbot.config import Config
from rag_chatbot.read.language import SEPARATOR
from rag_chatbot.search.fusion import Array, distinct, fuse
from rag_chatbot.store.catalogue import Collection
from rag_chatbot.store.store import Chunk, Store
from seedbed.models.embeddings.load_embeddings import embed_texts
from seedbed.observe.telemetry import span

POOL = 150  # candidates from each of the two searches
COPY = 0.98  # cosine from which two chunks count as copies; the better one stays


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved chunk.

    `score` orders the hits of one question; scores of two questions cannot be compared. `cosine` is
    the similarity to the question. `bm25` is None where full-text search did not return the chunk.
    """

    chunk: Chunk
    score: float
    cosine: float | None
    bm25: float | None


class Retriever:
    """Searches one store; safe to use from many threads."""

    def __init__(self, store: Store, embeddings: Any, config: Config) -> None:
        self.store = store
        self.embeddings = embeddings
        self.k = config.k
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="full-text")

    def search(
        self, question: str, collection: Collection | None = None, *, k: int | None = None
    ) -> list[Hit]:
        """At most `k` chunks of a collection (by default, of `default`), best first.

        Raises Unavailable when the Chroma server does not answer.
        """
        k = self.k if k is None else k
        collection = collection or self.store.collections.get("default")
        attributes = {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.data_source.id": collection.name,
            "gen_ai.request.top_k": k,
        }
        with span(f"retrieval {collection.name}", **attributes) as current:
            hits, vectors = self.candidates(question, collection)
            current.set_attribute("retrieval.candidates", len(hits))
            hits = _without_copies(hits, vectors, k)
            current.set_attribute("retrieval.documents", [hit.chunk.source for hit in hits])
        return hits

    def candidates(
        self, question: str, collection: Collection | None = None, pool: int = POOL
    ) -> tuple[list[Hit], Array]:
        """All candidates, best first, with their vectors: float32 (n, dimension)."""
        collection = collection or self.store.collections.get("default")

        # 1. Search by words and by meaning side by side: SQLite's scan runs without Python's lock.
        full_text = self._threads.submit(self.store.keyword_search, collection, question, pool)
        [query] = embed_texts(self.embeddings, [question], queries=1)
        nearest = self.store.vector_search(collection, query, pool)
        bm25 = dict(full_text.result())

        # 2. Fetch chunks and vectors of all candidates. Where a document has been replaced since, a
        #    second search by words finds its new version.
        ids = [chunk_id for chunk_id, _ in nearest]
        chunks, vectors = self.store.fetch(collection, list(dict.fromkeys([*ids, *bm25])))
        if bm25.keys() - {chunk.id for chunk in chunks}:
            return self.candidates(question, collection, pool)
        if not chunks:
            return [], vectors

        # 3. Fuse both scores and sort.
        words = np.array([bm25.get(chunk.id, 0.0) for chunk in chunks], dtype=np.float32)
        scores = fuse(query, vectors, words)
        cosines = vectors @ query
        order = np.argsort(-scores, kind="stable")
        hits = [
            Hit(chunks[n], float(scores[n]), float(cosines[n]), bm25.get(chunks[n].id))
            for n in order
        ]
        return hits, vectors[order]


def _without_copies(hits: list[Hit], vectors: Array, k: int) -> list[Hit]:
    """The first `k` hits that differ from all better ones, in their words and in their vectors."""
    first_with_text: dict[str, int] = {}
    for n, hit in enumerate(hits[: 2 * k + 10]):
        first_with_text.setdefault(" ".join(_without_heading(hit.chunk).split()), n)
    positions = list(first_with_text.values())
    return [hits[positions[n]] for n in distinct(vectors[positions], COPY)[:k]]


def _without_heading(chunk: Chunk) -> str:
    """The text of a chunk without the heading that it may begin with."""
    headings = (chunk.heading.rsplit(SEPARATOR, 1)[-1], chunk.title)
    start = next((len(name) for name in headings if name and chunk.text.startswith(name)), 0)
    return chunk.text[start:]
