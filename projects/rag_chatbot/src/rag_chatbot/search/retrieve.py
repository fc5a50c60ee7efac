"""Retrieval: the chunks that match a question, by meaning and by words.

    hits = Retriever(store, embeddings, config).search("How do I change the port?")

Both searches run side by side, their scores are fused, and repeats are dropped. `fuse` works in
three steps, each over the candidates alone, so that no index is searched again: mix the two scores
on the scale of the embedding model (`seedbed.models.weights.catalog.Model.scale`);
move the question towards the best few chunks (Rocchio, 1971); draw each chunk towards the chunks
most like it, as answers to one question lie together (the cluster hypothesis; Diaz, CIKM 2005,
https://doi.org/10.1145/1099554.1099722).

The constants of fusion and the scale of minilm were chosen on ADI, CACM, CISI, Cranfield, MED and
TIME, and checked on NPL and SciFact. Values nearby change the mean nDCG@10 of these by less than
0.01. The scale of multilingual-e5 was chosen by the benchmark `fit_scale`.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rag_chatbot.config import Config
from rag_chatbot.read.language import SEPARATOR
from rag_chatbot.store.catalogue import Collection
from rag_chatbot.store.store import Chunk, Store
from seedbed.models.embeddings.load_embeddings import embed_texts
from seedbed.observe.telemetry import span

log = logging.getLogger(__name__)
Array = npt.NDArray[np.float32]
Scale = tuple[float, float, float]

POOL = 150  # candidates from each of the two searches
COPY = 0.98  # cosine from which two chunks count as copies; the better one stays

FEEDBACK_CHUNKS = 5  # whose mean vector is added to the question's
ALIKE = 20  # chunks that a chunk is drawn towards
SMOOTHING = 0.3  # how far


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
        self.scale: Scale | None = getattr(embeddings, "scale", None)
        if self.scale is None:
            name = getattr(embeddings, "name", type(embeddings).__name__)
            log.warning("Search is not calibrated for the embeddings %s.", name)
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

        # 1. Search by words and by meaning side by side: SQLite releases Python's global lock.
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
        scores = fuse(query, vectors, words, self.scale)
        cosines = vectors @ query
        order = np.argsort(-scores, kind="stable")
        hits = [
            Hit(chunks[n], float(scores[n]), float(cosines[n]), bm25.get(chunks[n].id))
            for n in order
        ]
        return hits, vectors[order]


def fuse(query: Array, vectors: Array, bm25: Array, scale: Scale | None) -> Array:
    """A score from 0 to 1 for each of n candidates, n > 0; higher is better.

    query: float32 (d,), vectors: float32 (n, d), both L2-normalised. bm25: (n,), 0 where the full
    text search did not find the chunk. Without a scale, half of the candidates count as unrelated,
    and both searches alike.
    """
    cosines = vectors @ query
    floor, share, feedback = scale or (float(np.median(cosines)), 0.5, 0.0)
    first = mix(cosines - floor, bm25, share)
    best = np.argsort(-first, kind="stable")[:FEEDBACK_CHUNKS]
    weight = first[best] / max(float(first[best].sum()), 1e-9)
    moved = np.asarray(query + feedback * (weight @ vectors[best]), dtype=np.float32)
    moved /= max(float(np.linalg.norm(moved)), 1e-9)
    return smooth(mix(vectors @ moved - floor, bm25, share), vectors)


def mix(cosines: Array, bm25: Array, share: float) -> Array:
    """Each score divided by its best, then added: a `share` of cosines, the rest of BM25.

    One search may have found nothing.
    """
    positive = np.maximum(cosines, 0.0)
    dense = positive / max(float(positive.max()), 1e-9)
    text = bm25 / max(float(bm25.max()), 1e-9)
    mixed: Array = share * dense + (1.0 - share) * text
    return mixed


def smooth(scores: Array, vectors: Array) -> Array:
    """Scores moved towards the mean score of the most similar candidates, weighted by cosine."""
    count = min(ALIKE, len(scores) - 1)
    if count < 1:
        return scores
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -1.0)
    nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
    weights = np.maximum(np.take_along_axis(alike, nearest, axis=1), 1e-9)
    means = (weights * scores[nearest]).sum(axis=1) / weights.sum(axis=1)
    moved: Array = (1.0 - SMOOTHING) * scores + SMOOTHING * means
    return moved


def _without_copies(hits: list[Hit], vectors: Array, k: int) -> list[Hit]:
    """The first `k` hits that differ from all better ones, in their words and in their vectors."""
    positions: list[int] = []
    bodies = set()
    for n, hit in enumerate(hits):
        if len(positions) == k:
            break
        body = " ".join(_without_heading(hit.chunk).split())
        is_copy = body in bodies or float((vectors[positions] @ vectors[n]).max(initial=-1)) >= COPY
        if not is_copy:
            positions.append(n)
        bodies.add(body)
    return [hits[n] for n in positions]


def _without_heading(chunk: Chunk) -> str:
    """The text of a chunk without the heading that it may begin with."""
    headings = (chunk.heading.rsplit(SEPARATOR, 1)[-1], chunk.title)
    start = next((len(name) for name in headings if name and chunk.text.startswith(name)), 0)
    return chunk.text[start:]
