"""Picks the spans of retrieved chunks that answer a question best.

Every unit of every chunk is scored by a weighted sum of features; units are then taken best first,
under a limit of words, passing over what repeats the ones already taken. It does not decide
whether that is an answer at all: see `support`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_chatbot import lexical
from rag_chatbot.chunk import plain
from rag_chatbot.units import Unit, split, words

if TYPE_CHECKING:
    from rag_chatbot.retrieve import Hit

# Weights of the features below.
FEATURES = (
    "unit_cosine", "window_cosine", "chunk_cosine", "unit_overlap", "window_overlap",
    "context_overlap", "rank", "shape", "is_code", "is_row", "is_item", "length", "asks",
)  # fmt: skip
WEIGHTS = np.array([3, 3, 1, 2, 1, 1, 1, 0.5, -0.3, -0.3, 0, 0.3, -2], dtype=np.float32)


@dataclass(frozen=True)
class Candidate:
    """A unit of a chunk that may be quoted; `text` is it without markup."""

    hit: Hit
    rank: int
    unit: Unit
    text: str
    window: str
    score: float = 0.0
    features: np.ndarray = field(default_factory=lambda: np.zeros(len(FEATURES)), compare=False)
    vector: np.ndarray = field(default_factory=lambda: np.zeros(0), compare=False)

    @property
    def start(self) -> int:
        """Offset of the unit in the document's text."""
        return self.hit.chunk.start + self.unit.start

    @property
    def end(self) -> int:
        return self.hit.chunk.start + self.unit.end

    @property
    def quote(self) -> str:
        return self.hit.chunk.text[self.unit.start : self.unit.end]


def embed(embeddings: Any, texts: Sequence[str]) -> np.ndarray:
    """Vectors of length 1, float32 (n, dimension), from any LangChain embeddings."""
    if hasattr(embeddings, "embed"):
        return np.asarray(embeddings.embed(list(texts)), dtype=np.float32)
    vectors = np.asarray(embeddings.embed_documents(list(texts)), dtype=np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def candidates(hits: Sequence[Hit]) -> list[Candidate]:
    """Every unit of the hits, once: a text that stands in several chunks counts for the first."""
    found: list[Candidate] = []
    seen: set[str] = set()
    for rank, hit in enumerate(hits):
        units = split(hit.chunk.text)
        texts = [plain(hit.chunk.text[u.start : u.end]) for u in units]
        for i, (unit, text) in enumerate(zip(units, texts, strict=True)):
            key = " ".join(text.lower().split())
            if key in seen or words(text) < 2:
                continue
            seen.add(key)
            window = " ".join(texts[max(0, i - 1) : i + 2])
            found.append(Candidate(hit, rank, unit, text, window))
    return found


def score(question: str, found: Sequence[Candidate], embeddings: Any) -> list[Candidate]:
    """The candidates with features, vectors and scores, best first."""
    if not found:
        return []
    n = len(found)
    vectors = embed(embeddings, [question, *(c.text for c in found), *(c.window for c in found)])
    query, units, windows = vectors[0], vectors[1 : n + 1], vectors[n + 1 :]
    chunk_bags = {c.hit.chunk.id: lexical.terms(c.hit.chunk.text) for c in found}
    weight = lexical.idf(list(chunk_bags.values()))
    rarest = max(weight.values(), default=1.0)
    wanted = {t: weight.get(t, rarest) for t in lexical.terms(question)}
    asked = lexical.asked(question)
    scored = []
    for i, c in enumerate(found):
        row = np.array(
            [
                float(query @ units[i]),
                float(query @ windows[i]),
                c.hit.cosine or 0.0,
                *_overlaps(wanted, c),
                1 / (1 + c.rank),
                len(asked & lexical.shown(c.quote)) / max(1, len(asked)),
                c.unit.kind == "code",
                c.unit.kind == "row",
                c.unit.kind == "item",
                min(1.0, words(c.text) / 25),
                c.text.rstrip().endswith("?"),
            ],
            dtype=np.float32,
        )
        scored.append(
            Candidate(c.hit, c.rank, c.unit, c.text, c.window, float(row @ WEIGHTS), row, units[i])
        )
    return sorted(scored, key=lambda c: -c.score)


def _overlaps(wanted: dict[str, float], c: Candidate) -> tuple[float, float, float]:
    here, around = lexical.terms(c.text), lexical.terms(c.window)
    above = lexical.terms(f"{c.hit.chunk.title} {c.hit.chunk.heading} {c.unit.context}")
    return (
        lexical.overlap(wanted, here),
        lexical.overlap(wanted, around),
        lexical.overlap(wanted, here + above),
    )


def choose(
    scored: Sequence[Candidate], *, most: int = 3, most_words: int = 80, alike: float = 0.9
) -> list[Candidate]:
    """At most `most` candidates in `most_words` words, best first, none a repeat of another."""
    chosen: list[Candidate] = []
    left = most_words
    for c in scored:
        size = words(c.text)
        if size > left and chosen:
            continue
        if any(float(c.vector @ d.vector) > alike for d in chosen):
            continue
        chosen.append(c)
        left -= size
        if len(chosen) == most:
            break
    return chosen
