"""Picks the spans of retrieved chunks that answer a question best.

Every unit of every chunk is scored by a weighted sum of features; units are then taken best first,
under a limit of words, passing over what repeats the ones already taken. It does not decide
whether that is an answer at all: see `support`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_chatbot.answer.quotable_units import Unit, split, words
from rag_chatbot.read.chunk import SEPARATOR, context, plain
from rag_chatbot.search import lexical

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit

FEATURES = (
    "unit_cosine", "headed_cosine", "chunk_cosine", "chunk_score", "unit_overlap",
    "window_overlap", "context_overlap", "number", "code", "reason", "yes", "is_code", "is_row",
    "is_item", "length", "asks", "leads", "new_code",
)  # fmt: skip
# Fitted so that, of all units found for a question, those with the expected fact score highest
# (softmax over the units), to 237 questions over the documentation of seven programs at once, so
# that no single one of them sets a weight.
WEIGHTS = np.array(
    [2.47, 3.91, 2.89, 4.15, 1.84, 1.27, 1.68, 1.72, 1.34,
     1.70, 1.46, 0.13, 1.02, -0.26, -0.24, -0.51, -0.45, 0.26],
    dtype=np.float32,
)  # fmt: skip
NEXT_TO = 0.6  # added to what stands beside a chosen unit: an answer often needs two in a row
SAME_DOCUMENT = 0.8  # added to what stands in the document of the best unit
FAR = 4.0  # what scores so far below the best unit is not quoted
FOCUS = 0.4  # share of the last question alone in the features of a joined one
LINKS = 2.0  # taken off what is nothing but links: a list of contents names facts and tells none
GAP = 60  # characters between two units that still make one quote

_LINK = re.compile(r"\[[^\]\n]+\]\([^)\n]+\)|`[^`<\n]+<[^>\n]+>`_+")
_SHAPES = ("number", "code", "reason", "yes")


@dataclass(frozen=True)
class Candidate:
    """A unit of a chunk that may be quoted; `text` is it without markup."""

    hit: Hit
    rank: int
    unit: Unit
    text: str
    place: int
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
    unit: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return unit


def candidates(hits: Sequence[Hit]) -> list[Candidate]:
    """Every unit of the hits, once: a text that stands in several chunks counts for the first."""
    found: list[Candidate] = []
    seen = {_key(part) for hit in hits for part in hit.chunk.heading.split(SEPARATOR)}
    for rank, hit in enumerate(hits):
        units = split(hit.chunk.text)
        texts = [plain(hit.chunk.text[u.start : u.end]) for u in units]
        for i, (unit, text) in enumerate(zip(units, texts, strict=True)):
            key = _key(text)
            if key in seen or words(text) < 2 or _drawn(text):
                continue  # `seen` starts with the headings: a table of contents answers nothing
            seen.add(key)
            window = " ".join(texts[max(0, i - 1) : i + 2])
            found.append(Candidate(hit, rank, unit, text, i, window))
    return found


def _drawn(text: str) -> bool:
    """Whether it is a diagram or a rule in characters rather than words."""
    return sum(c.isalnum() for c in text) < 0.4 * len("".join(text.split()))


def _linked(quote: str) -> float:
    """The share of a quote that links take, 0 to 1."""
    return sum(len(m[0]) for m in _LINK.finditer(quote)) / max(1, len(quote))


def _key(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def score(
    question: str, found: Sequence[Candidate], embeddings: Any, *, focus: str = ""
) -> list[Candidate]:
    """The candidates with features, vectors and scores, best first.

    `focus` is the part of a joined question that was asked last: it counts for more.
    """
    if not found:
        return []
    headed = [f"{context(c.hit.chunk.title, c.hit.chunk.heading)} {c.text}" for c in found]
    texts = [question, focus or question, *(c.text for c in found), *headed]
    vectors = embed(embeddings, texts)
    units, heads = np.split(vectors[2:], 2)
    rows = _features(question, vectors[0], found, units, heads)
    if focus and focus != question:
        alone = _features(focus, vectors[1], found, units, heads)
        rows = (1 - FOCUS) * rows + FOCUS * alone
    scores = rows @ WEIGHTS - LINKS * np.array([_linked(c.quote) for c in found])
    scored = [
        replace(c, score=float(scores[i]), features=rows[i], vector=units[i])
        for i, c in enumerate(found)
    ]
    return sorted(scored, key=lambda c: -c.score)


def _features(
    question: str, query: np.ndarray, found: Sequence[Candidate], units: np.ndarray,
    heads: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """float32 (candidates, features)."""
    wanted = _wanted(question, found)
    asked = lexical.asked(question)
    best = max(c.hit.score for c in found) or 1.0
    rows = [
        [c.hit.cosine or 0.0, c.hit.score / best, *_overlaps(wanted, c), *_form(asked, c)]
        for c in found
    ]
    cosines = np.stack([units @ query, heads @ query], axis=1)
    return np.hstack([cosines, np.array(rows, dtype=np.float32)])


def _wanted(question: str, found: Sequence[Candidate]) -> dict[str, float]:
    """The question's terms with their rarity among the chunks that were found."""
    chunks = {c.hit.chunk.id: lexical.terms(c.hit.chunk.text) for c in found}
    weight = lexical.idf(list(chunks.values()))
    rarest = max(weight.values(), default=1.0)
    return {t: weight.get(t, rarest) for t in lexical.terms(question)}


def _overlaps(wanted: dict[str, float], c: Candidate) -> list[float]:
    here = lexical.terms(c.text)
    above = lexical.terms(f"{c.hit.chunk.title} {c.hit.chunk.heading} {c.unit.context}")
    return [lexical.overlap(wanted, t) for t in (here, lexical.terms(c.window), here + above)]


def _form(asked: frozenset[str], c: Candidate) -> list[float]:
    """Whether the shape of the answer is the one asked for, and what kind of unit it is."""
    shown = lexical.shown(c.quote)
    return [
        *(float(shape in shown and shape in asked) for shape in _SHAPES),
        *(float(c.unit.kind == kind) for kind in ("code", "row", "item")),
        min(1.0, words(c.text) / 25),
        float(c.text.endswith("?")),
        float(c.text.endswith(":")),
        float("code" in shown and "code" not in asked),
    ]


def choose(
    scored: Sequence[Candidate],
    *,
    quotes: int = 3,
    most: int = 6,
    most_words: int = 84,
    alike: float = 0.9,
) -> list[Candidate]:
    """At most `most` units that make at most `quotes` quotes, in `most_words` words.

    Best first; none repeats another; units that stand side by side become one quote.
    """
    live = {(c.hit.chunk.id, c.place): c for c in scored}
    worth = {key: c.score for key, c in live.items()}
    chosen: dict[tuple[int, int], Candidate] = {}
    floor = max(worth.values(), default=0.0) - FAR
    while live and len(chosen) < most:
        key = max(live, key=worth.__getitem__)
        c = live.pop(key)
        if worth[key] < floor:
            break
        if any(float(c.vector @ d.vector) > alike for d in chosen.values()):
            continue
        joined = _joined([*chosen.values(), c])
        if chosen and (len(joined) > quotes or sum(map(_size, joined)) > most_words):
            continue
        if not chosen:
            for other, d in live.items():
                same = d.hit.chunk.document_id == c.hit.chunk.document_id
                worth[other] += SAME_DOCUMENT * same
        chosen[key] = c
        for beside in ((key[0], key[1] - 1), (key[0], key[1] + 1)):
            if beside in worth:
                worth[beside] += NEXT_TO
    return _joined(list(chosen.values()))


def _size(c: Candidate) -> int:
    """Words that the quote takes as it is shown; the marks around code count as words too."""
    if c.unit.kind == "code" or "```" in c.quote:
        return words(c.quote) + 2
    return words(c.text)


def _joined(chosen: Sequence[Candidate]) -> list[Candidate]:
    """Units that follow each other in a chunk become one; best first."""
    runs: list[list[Candidate]] = []
    for c in sorted(chosen, key=lambda c: (c.hit.chunk.id, c.place)):
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and (last.hit.chunk.id, last.place + 1) == (c.hit.chunk.id, c.place)
            and c.start - last.end <= GAP
        ):
            runs[-1].append(c)
            continue
        runs.append([c])
    return sorted((_one(run) for run in runs), key=lambda c: -c.score)


def _one(run: Sequence[Candidate]) -> Candidate:
    if len(run) == 1:
        return run[0]
    first, last = run[0], run[-1]
    flows = all(c.unit.kind == "sentence" for c in run)
    unit = Unit(
        first.unit.start, last.unit.end, "sentence" if flows else "item", first.unit.context
    )
    best = max(run, key=lambda c: c.score)
    text = plain(first.hit.chunk.text[unit.start : unit.end])
    return replace(best, unit=unit, text=text, place=first.place)
