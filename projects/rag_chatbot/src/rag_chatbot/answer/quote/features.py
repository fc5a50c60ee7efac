"""The quotable units of retrieved chunks, each with a score: a weighted sum of features.

    scored = score(question, candidates(hits), embeddings)

Which of them are quoted is decided in `choose`, and whether any is in `confidence`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_chatbot.answer.evidence import Span
from rag_chatbot.answer.quote.units import Unit, displayed, split, words
from rag_chatbot.read.language import (
    SEPARATOR,
    asked,
    context,
    defined_names,
    idf,
    names_in,
    overlap,
    plain,
    shown,
    terms,
)
from seedbed.models.embeddings.load import Vectors, embed_texts

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit

# Feature → weight. Fitted by the benchmark `fit_selection` to 237 questions about the documentation
# of seven programs at once: of all units of a question, those with the expected fact should score
# highest (softmax over the units). Cosines, overlaps and `chunk_score` run from 0 to 1; the others
# are 0 or 1 unless noted.
FEATURE_WEIGHTS = {
    "unit_cosine": 2.47,  # of unit and question
    "headed_cosine": 3.91,  # of the question and the unit below its title and heading
    "chunk_cosine": 2.89,  # of the whole chunk and the question
    "chunk_score": 4.15,  # of the chunk in retrieval, divided by the best chunk's
    "unit_overlap": 1.84,  # share of the question's terms, weighted by rarity, in the unit
    "window_overlap": 1.27,  # the same with the units before and after it
    "context_overlap": 1.68,  # the same with title, heading and announcing sentence
    "number": 1.72,  # the question asks for a number, and the unit has one
    "code": 1.34,  # the same for a command, option or name in code
    "reason": 1.70,  # the same for a reason
    "yes": 1.46,  # the same for yes or no
    "is_code": 0.13,  # the unit is code
    "is_row": 1.02,  # … a table row
    "is_item": -0.26,  # … a list item
    "length": -0.24,  # words / 25, at most 1
    "asks": -0.51,  # the unit is a question itself
    "leads": -0.45,  # it ends with a colon, and so announces something
    "new_code": 0.26,  # it has code although the question does not ask for any
    # Set by hand on `benchmarks/real_documents.jsonl`.
    "named": 2.0,  # the question names the term that the unit is part of the definition of
    "opens": 1.5,  # … and asks what it is, and the unit opens the definition
}
_WEIGHTS = np.array(list(FEATURE_WEIGHTS.values()), dtype=np.float32)

# Set by hand on the same questions.
LINKS = 2.0  # penalty for a unit that is all links: a table of contents names facts only
FOCUS = 0.4  # share of the last question alone in the features of a condensed one

_LINK = re.compile(r"\[[^\]\n]+\]\([^)\n]+\)|`[^`<\n]+<[^>\n]+>`_+")


@dataclass(frozen=True)
class Candidate:
    """A unit of a retrieved chunk that may be quoted.

    `text` is the unit without markup, `place` its number within the chunk, `window` its text with
    the units before and after it, `vector` its embedding: float32 (dimension,), of length 1.
    """

    hit: Hit
    unit: Unit
    text: str
    place: int
    window: str
    score: float = 0.0
    features: Vectors = field(
        default_factory=lambda: np.zeros(len(FEATURE_WEIGHTS), np.float32), compare=False
    )
    vector: Vectors = field(default_factory=lambda: np.zeros(0, np.float32), compare=False)

    @property
    def start(self) -> int:
        """Offset of the unit in the document's text."""
        return self.hit.chunk.start + self.unit.start

    @property
    def end(self) -> int:
        """Offset of the first character after it."""
        return self.hit.chunk.start + self.unit.end

    @property
    def quote(self) -> str:
        """The unit as the document has it."""
        return self.hit.chunk.text[self.unit.start : self.unit.end]

    @property
    def span(self) -> Span:
        """The unit as evidence."""
        return Span(self.hit.chunk, self.start, self.end, self.quote)


def candidates(hits: Sequence[Hit]) -> list[Candidate]:
    """All quotable units of the hits; a text that occurs in several chunks counts for the first."""
    units_of_hits: list[Candidate] = []
    # Headings count as seen: a line that repeats one, as in a table of contents, answers nothing.
    seen = {_key(part) for hit in hits for part in hit.chunk.heading.split(SEPARATOR)}
    for hit in hits:
        chunk = hit.chunk
        units = split(chunk.text, chunk.type, chunk.heading)
        texts = [words_of(hit, unit) for unit in units]
        for place, (unit, text) in enumerate(zip(units, texts, strict=True)):
            key = _key(text)
            if key in seen or words(text) < 2 or _is_drawing(text):
                continue
            seen.add(key)
            window = " ".join(texts[max(0, place - 1) : place + 2])
            units_of_hits.append(Candidate(hit, unit, text, place, window))
    return units_of_hits


def score(
    question: str, units: Sequence[Candidate], embeddings: Any, *, focus: str = ""
) -> list[Candidate]:
    """The candidates with features, vectors and scores, best first.

    `focus` is the last question of a condensed one: its words count for more.
    """
    if not units:
        return []

    # 1. Embed the question and each unit, alone and below its heading, in one batch.
    headed = [f"{context(c.hit.chunk.title, c.hit.chunk.heading)} {c.text}" for c in units]
    texts = [question, focus or question, *(c.text for c in units), *headed]
    vectors = embed_texts(embeddings, texts, queries=2)
    unit_vectors, headed_vectors = np.split(vectors[2:], 2)

    # 2. Compute the features: float32 (units, features).
    rows = _features(question, vectors[0], units, unit_vectors, headed_vectors)
    if focus and focus != question:
        focused = _features(focus, vectors[1], units, unit_vectors, headed_vectors)
        rows = (1 - FOCUS) * rows + FOCUS * focused

    # 3. Weigh and sort them.
    scores = rows @ _WEIGHTS - LINKS * np.array([_link_share(c.quote) for c in units])
    scored = [
        replace(c, score=float(scores[n]), features=rows[n], vector=unit_vectors[n])
        for n, c in enumerate(units)
    ]
    return sorted(scored, key=lambda c: -c.score)


def _features(
    question: str,
    query: Vectors,
    units: Sequence[Candidate],
    unit_vectors: Vectors,
    headed_vectors: Vectors,
) -> Vectors:
    """float32 (units, features), in the order of FEATURE_WEIGHTS."""
    term_weights = _term_weights(question, units)
    kinds = asked(question)
    names = names_in(question)
    best = max(c.hit.score for c in units) or 1.0
    rows = [
        [
            *(c.hit.cosine or 0.0, c.hit.score / best),
            *_overlaps(term_weights, c),
            *_form(kinds, c),
            *_defines(names, kinds, c),
        ]
        for c in units
    ]
    cosines = np.stack([unit_vectors @ query, headed_vectors @ query], axis=1)
    return np.hstack([cosines, np.array(rows, dtype=np.float32)])


def _term_weights(question: str, units: Sequence[Candidate]) -> dict[str, float]:
    """The question's terms with their inverse document frequency among the retrieved chunks."""
    chunks = {c.hit.chunk.id: terms(c.hit.chunk.text) for c in units}
    weights = idf(list(chunks.values()))
    rarest = max(weights.values(), default=1.0)
    return {term: weights.get(term, rarest) for term in terms(question)}


def _overlaps(term_weights: dict[str, float], c: Candidate) -> list[float]:
    own = terms(c.text)
    above = terms(f"{c.hit.chunk.title} {c.hit.chunk.heading} {c.unit.context} {c.unit.term}")
    return [overlap(term_weights, there) for there in (own, terms(c.window), own + above)]


def _form(kinds: frozenset[str], c: Candidate) -> list[float]:
    """The features of `number` to `new_code`."""
    contained = shown(c.quote)
    return [
        *(float(kind in contained and kind in kinds) for kind in ("number", "code", "reason")),
        float("yes" in contained and "yes" in kinds),
        *(float(c.unit.kind == kind) for kind in ("code", "row", "item")),
        min(1.0, words(c.text) / 25),
        float(c.text.endswith("?")),
        float(c.text.endswith(":")),
        float("code" in contained and "code" not in kinds),
    ]


def words_of(hit: Hit, unit: Unit) -> str:
    """A unit without markup, as it is embedded and compared; a table row as a sentence."""
    if unit.kind == "row":
        return displayed(hit.chunk.text, unit, hit.chunk.type)
    return plain(hit.chunk.text[unit.start : unit.end], hit.chunk.type)


def _defines(names: frozenset[str], kinds: frozenset[str], c: Candidate) -> list[float]:
    """The features `named` and `opens`."""
    named = not names.isdisjoint(defined_names(c.unit.term))
    opens = named and "define" in kinds and (c.place == 0 or c.unit.kind == "item")
    return [float(named), float(opens)]


def _is_drawing(text: str) -> bool:
    """Whether a text is a diagram or a rule in characters rather than words."""
    return sum(c.isalnum() for c in text) < 0.4 * len("".join(text.split()))


def _link_share(quote: str) -> float:
    """The share of a quote's characters that belong to links, 0 to 1."""
    return sum(len(link[0]) for link in _LINK.finditer(quote)) / max(1, len(quote))


def _key(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))
