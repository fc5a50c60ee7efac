"""Find the chunks that bear on a question: both searches at once, fused, without repeats.

It knows the store and how a question is embedded; not how documents are read or answers made. The
order comes from `fusion`, or from a cross-encoder where one is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rag_chatbot.config import Config
from rag_chatbot.search.fusion import Array, distinct, fuse
from rag_chatbot.store.store import Chunk, Store
from seedbed.errors import BadInput, NotFound
from seedbed.observe.telemetry import retrieval

if TYPE_CHECKING:
    from seedbed.models.rerank import Reranker

POOL = 150  # candidates from each search
RERANKED = 32  # of them that a cross-encoder reads
COPY = 0.98  # cosine from which a chunk says nothing that a better one has not said
MAX_QUESTION = 20_000  # characters that are looked at

Arm = Literal["hybrid", "dense", "bm25"]
Where = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate. `cosine` to the question; `bm25` is None where its words were not found."""

    id: int
    score: float
    cosine: float | None = None
    bm25: float | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found. `score` orders the hits of one question and means nothing beyond."""

    chunk: Chunk
    score: float
    cosine: float | None
    bm25: float | None


class Retriever:
    """Safe to use from many threads."""

    def __init__(
        self, store: Store, embeddings: Any, config: Config, reranker: Reranker | None = None
    ) -> None:
        """`reranker` has a method `score(question, texts)`; None: the one that `config` names."""
        self.store = store
        self.embeddings = embeddings
        self.k = config.k
        self.reranker = reranker or _configured(config)
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="full-text")

    def search(
        self,
        question: str,
        *,
        collection: str = "default",
        k: int | None = None,
        where: Where | None = None,
    ) -> list[Hit]:
        """At most k chunks, best first; `where` as in `Store.text`.

        Raises BadInput for an empty question and NotFound for an unknown collection.
        """
        k = self.k if k is None else k
        with retrieval(collection, **{"gen_ai.request.top_k": k}) as span:
            ranked = self.rank(question, collection=collection, where=where)
            if self.reranker:
                ranked = self._rerank(question, ranked)
            hits = self._hits(ranked, k)
            span.set_attribute("retrieval.candidates", len(ranked))
            span.set_attribute("retrieval.documents", [hit.chunk.source for hit in hits])
        return hits

    def rank(
        self,
        question: str,
        *,
        collection: str = "default",
        where: Where | None = None,
        arm: Arm = "hybrid",
        pool: int = POOL,
    ) -> list[Ranked]:
        """All candidates in order, by one arm alone or by both, fused."""
        question = question[:MAX_QUESTION].strip()
        if not question:
            raise BadInput("The question is empty.", hint="Ask something.")
        if arm == "bm25":
            found = self.store.text(collection, question, pool, where)
            return [Ranked(i, score, bm25=score) for i, score in found]
        if arm == "dense":
            found = self.store.dense(collection, self._embed(question), pool, where)
            return [Ranked(i, score, cosine=score) for i, score in found]
        try:
            return self._fused(question, collection, where, pool)
        except NotFound:  # a document was replaced between the two searches
            return self._fused(question, collection, where, pool)

    def expand(self, chunk: Chunk, before: int = 1, after: int = 1, *, collection: str) -> Chunk:
        """The chunk and its neighbours as one: a longer span of the same document.

        Stays on its page and under its heading, so that a citation holds for all of it.
        """
        around = [
            other
            for other in self.store.neighbours(chunk, before, after)
            if (other.page, other.heading) == (chunk.page, chunk.heading)
        ]
        if not around:
            return chunk
        start = min(chunk.start, around[0].start)
        end = max(chunk.end, around[-1].end)
        text = self.store.document(collection, chunk.source).text[start:end]
        return replace(chunk, text=text, start=start, end=end)

    def _fused(
        self, question: str, collection: str, where: Where | None, pool: int
    ) -> list[Ranked]:
        by_text = self._threads.submit(self.store.text, collection, question, pool, where)
        query = self._embed(question)
        near = self.store.dense(collection, query, pool, where)
        words = dict(by_text.result())
        ids = list(dict.fromkeys([i for i, _ in near] + list(words)))
        if not ids:
            return []
        vectors = self.store.vectors(ids)
        bm25 = np.array([words.get(i, 0.0) for i in ids], dtype=np.float32)
        scores = fuse(query, vectors, bm25)
        cosines = vectors @ query
        order = np.argsort(-scores, kind="stable")
        return [
            Ranked(ids[n], float(scores[n]), float(cosines[n]), words.get(ids[n])) for n in order
        ]

    def _rerank(self, question: str, ranked: list[Ranked]) -> list[Ranked]:
        """The first of them in the cross-encoder's order; the rest is left out."""
        assert self.reranker is not None
        by_id = {item.id: item for item in ranked[:RERANKED]}
        chunks = self.store.chunks(list(by_id))
        texts = [f"{chunk.heading or chunk.title}\n{chunk.text}".strip() for chunk in chunks]
        scores = self.reranker.score(question, texts) if texts else []
        found = [
            replace(by_id[chunk.id], score=float(score))
            for chunk, score in zip(chunks, scores, strict=True)
        ]
        return sorted(found, key=lambda item: -item.score)

    def _hits(self, ranked: list[Ranked], k: int) -> list[Hit]:
        """The first k that differ from each other. A chunk deleted meanwhile is left out."""
        by_id = {item.id: item for item in ranked[: 2 * k + 10]}
        found: dict[str, Chunk] = {}
        for chunk in self.store.chunks(list(by_id)):
            found.setdefault(" ".join(chunk.text.split()), chunk)
        chunks = list(found.values())
        kept = distinct(self.store.vectors([chunk.id for chunk in chunks]), COPY)[:k]
        items = [(chunks[n], by_id[chunks[n].id]) for n in kept]
        return [Hit(chunk, item.score, item.cosine, item.bm25) for chunk, item in items]

    def _embed(self, question: str) -> Array:
        vector = np.asarray(self.embeddings.embed_query(question), dtype=np.float32)
        unit: Array = vector / max(float(np.linalg.norm(vector)), 1e-9)
        return unit


def _configured(config: Config) -> Reranker | None:
    if not config.reranker:
        return None
    from seedbed.models.rerank import load_reranker

    return load_reranker(config.reranker)
