"""The quotable units of retrieved chunks, each with the probability that it answers the question.

    scored = score(question, candidates(hits), embeddings)
    confidence(scored)    # of the best unit

A logistic model of seven features, each of the question and one unit with its chunk alone: what
else a collection contains changes nothing. Which units are quoted is decided in `choose`.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_chatbot.answer.evidence import Span
from rag_chatbot.answer.quote.units import Unit, cell_values, displayed, split, words
from rag_chatbot.read.language import (
    SEPARATOR,
    STOP_WORDS,
    language_of,
    plain,
    subject_terms,
    terms,
)
from seedbed.models.embeddings.load_embeddings import Vectors, embed_texts

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit

# Cosines and shares run from 0 to 1.
FEATURES = (
    "unit_cosine",  # of the unit and the question
    "chunk_cosine",  # of the whole chunk, with its title and headings, and the question
    "unit_coverage",  # share of the question's terms in the unit and what announces it
    "headed_coverage",  # the same with title and headings
    "chunk_coverage",  # the same for the whole chunk
    "names",  # 1 if the chunk or its headings have all names of the question, -1 if not, 0 without
    "foreign",  # 1 if the chunk is in another language, so that no term can match
)
# Weights and bias (last) by embedding model, as the cosines of two models differ; fitted by the
# benchmark `fit_selection`. Refitting gives different weights and one more wrong answer on the
# sample questions, so these were kept. A model that is not listed uses the first.
WEIGHTS = {
    "minilm": (2.56, 2.40, 1.28, 2.07, 3.02, 0.79, 0.0, -5.62),
    "multilingual-e5": (4.34, 3.36, 1.12, 1.64, 2.64, 0.70, 2.63, -6.51),
}
# Set by hand.
IDENTIFIER = 3.0  # penalty for a chunk without a version, part number or option of the question
HEADED = 2.0  # bonus where the heading right above has them: "1.1.0 (2024-02-01)"
FOCUS = 0.4  # share of the last question alone in the features of a condensed one


_TOKEN = re.compile(r"--?\w[\w-]*|\w(?:[\w.+/-]*\w)?")
_CODE_NAME = re.compile(r"\d|^--?\w|\w_\w|\w\w\.\w\w")  # versions, numbers, options, attributes
_PLAIN_NUMBER = re.compile(r"[\d,]+(?:\.\d+)?|\d+(?:st|nd|rd|th|%)")
NOUNS_ARE_CAPITAL = "de"  # where a capital letter does not make a word a name


@dataclass(frozen=True)
class Candidate:
    """A unit of a retrieved chunk that may be quoted.

    `text` is the unit without markup, `place` its number within the chunk, `score` the logit of the
    probability that it answers, `vector` its embedding: float32 (dimension,), of length 1.
    """

    hit: Hit
    unit: Unit
    text: str
    place: int
    score: float = 0.0
    features: Vectors = field(
        default_factory=lambda: np.zeros(len(FEATURES), np.float32), compare=False
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
    seen = {
        _key(part)
        for hit in hits
        for part in (hit.chunk.title, *hit.chunk.heading.split(SEPARATOR))
    }
    for hit in hits:
        chunk = hit.chunk
        for place, unit in enumerate(split(chunk.text, chunk.type, chunk.heading)):
            text = words_of(hit, unit)
            key = _key(text)
            if key in seen or words(text) < 2 or _is_drawing(text):
                continue
            seen.add(key)
            units_of_hits.append(Candidate(hit, unit, text, place))
    return units_of_hits


def score(
    question: str, units: Sequence[Candidate], embeddings: Any, *, focus: str = ""
) -> list[Candidate]:
    """The candidates with features, vectors and scores, best first.

    `focus` is the last question of a condensed one: its words count for more.
    """
    # 1. Leave out table rows without a value that the question names.
    whole = read_question(question)
    last = read_question(focus) if focus else whole
    lacking = _rows_that_lack_a_value(whole, last, units)
    units = [c for n, c in enumerate(units) if n not in lacking]
    if not units:
        return []

    # 2. Embed the question and the other units, in one batch.
    texts = [question, focus or question, *(c.text for c in units)]
    query, focus_query, *_ = vectors = embed_texts(embeddings, texts, queries=2)

    # 3. Compute the features: float32 (units, features).
    rows = features(whole, query, units, vectors[2:])
    if focus and focus != question:
        focused = features(last, focus_query, units, vectors[2:])
        rows = (1 - FOCUS) * rows + FOCUS * focused

    # 4. Weigh and sort them.
    *weights, bias = WEIGHTS[model_of(embeddings)]
    logits = rows @ np.array(weights, np.float32) + bias
    if whole.identifiers:
        logits -= IDENTIFIER * ~np.array([whole.has_identifiers(_text(c.hit)) for c in units])
        headings = (c.hit.chunk.heading.rsplit(SEPARATOR, 1)[-1] for c in units)
        logits += HEADED * np.array([whole.has_identifiers(heading) for heading in headings])
    scored = [
        replace(c, score=float(logits[n]), features=rows[n], vector=vectors[2 + n])
        for n, c in enumerate(units)
    ]
    return sorted(scored, key=lambda c: -c.score)


def confidence(scored: Sequence[Candidate]) -> float:
    """The probability, 0 to 1, that the best candidate answers the question."""
    return 1 / (1 + math.exp(-max(c.score for c in scored))) if scored else 0.0


def model_of(embeddings: Any) -> str:
    """The key of the embeddings' weights in WEIGHTS."""
    name = str(getattr(embeddings, "name", ""))
    return next((model for model in WEIGHTS if name.startswith(model)), next(iter(WEIGHTS)))


def features(
    question: Question, query: Vectors, units: Sequence[Candidate], vectors: Vectors
) -> Vectors:
    """float32 (units, features), in the order of FEATURES."""
    chunks: dict[int, list[float]] = {}
    rows = []
    for n, c in enumerate(units):
        chunk = c.hit.chunk
        above = f"{chunk.title} {chunk.heading}"
        own = f"{c.unit.context} {c.text}"
        if chunk.id not in chunks:
            chunks[chunk.id] = _chunk_features(question, _text(c.hit))
        own_terms = set(terms(own, question.language))
        headed_terms = own_terms | set(terms(above, question.language))
        rows.append(
            [
                float(vectors[n] @ query),
                c.hit.cosine or 0.0,
                question.coverage(own_terms),
                question.coverage(headed_terms),
                *chunks[chunk.id],
            ]
        )
    return np.array(rows, dtype=np.float32)


def _text(hit: Hit) -> str:
    chunk = hit.chunk
    return f"{chunk.source} {chunk.title} {chunk.heading} {chunk.text}"


def _chunk_features(question: Question, text: str) -> list[float]:
    """The features from `chunk_coverage` on, of a chunk with its title and headings."""
    present = set(terms(text, question.language))
    names = 0 if not question.names else -1 if question.lacks_name(text, present) else 1
    foreign = language_of(text, question.language) != question.language
    return [question.coverage(present), names, foreign]


def _rows_that_lack_a_value(
    question: Question, last: Question, units: Sequence[Candidate]
) -> set[int]:
    """The numbers of table rows without what the question names.

    That is a name of the last question, or a value of a column, of the last question if it names
    one there. Where it names several of a column, a row needs as many as the best row has.
    """
    lacking: set[int] = set()
    tables: dict[tuple[int, str], dict[int, list[str]]] = defaultdict(dict)
    for n, c in enumerate(units):
        if c.unit.kind == "row":
            chunk = c.hit.chunk
            tables[chunk.document_id, c.unit.context][n] = cell_values(chunk.text, c.unit)
            headed = f"{chunk.title} {chunk.heading} {c.unit.context} {c.text}"
            if last.lacks_name(headed, set(terms(headed, last.language))):
                lacking.add(n)
    for (_, header), rows in tables.items():
        for column in zip_longest(*rows.values(), fillvalue=""):
            cells = dict(zip(rows, map(_words, column), strict=True))
            for part in (last, question):
                named = _words(part.text) - _words(header) - STOP_WORDS
                matches = {n: named & cell for n, cell in cells.items()}
                if any(matches.values()):
                    most = max(map(len, matches.values()))
                    lacking |= {n for n, match in matches.items() if len(match) < most}
                    break
    return lacking


def words_of(hit: Hit, unit: Unit) -> str:
    """A unit without markup, as it is embedded and compared; a table row as a sentence."""
    if unit.kind == "row":
        return displayed(hit.chunk.text, unit, hit.chunk.type)
    return plain(hit.chunk.text[unit.start : unit.end], hit.chunk.type)


def _is_drawing(text: str) -> bool:
    """Whether a text is a diagram or a rule in characters rather than words."""
    return sum(c.isalnum() for c in text) < 0.4 * len("".join(text.split()))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w(?:[\w.-]*\w)?", text.lower()))


def _key(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


@dataclass(frozen=True)
class Question:
    """`terms` are stems; `names` are in lower case: numbers, names in code, capitalised words."""

    text: str
    language: str
    terms: frozenset[str]
    names: tuple[str, ...]

    def coverage(self, present: Set[str]) -> float:
        """The share of the terms that is present, 0 to 1."""
        return len(self.terms & present) / max(1, len(self.terms))

    def lacks_name(self, text: str, present: Set[str]) -> bool:
        """Whether a name of the question is missing in `text`, whose terms are `present`."""
        return not all(_contains(text, name, present, self.language) for name in self.names)

    @property
    def identifiers(self) -> list[str]:
        """The names other than words and plain numbers: versions, part numbers, options."""
        return [
            name
            for name in self.names
            if _CODE_NAME.search(name) and not _PLAIN_NUMBER.fullmatch(name)
        ]

    def has_identifiers(self, text: str) -> bool:
        """Whether `text` has all identifiers of the question."""
        return all(_contains(text, name, frozenset(), self.language) for name in self.identifiers)


def read_question(text: str) -> Question:
    """The language, terms and names of a question.

    >>> question = read_question("Which toner does the Atlas need after E40?")
    >>> question.language, sorted(question.terms), question.names
    ('en', ['atlas', 'e40', 'toner'], ('atlas', 'e40'))
    """
    language = language_of(text)
    names: dict[str, None] = {}
    for match in _TOKEN.finditer(text):
        word = match[0]
        capital = match.start() > 0 and word[0].isupper() and language != NOUNS_ARE_CAPITAL
        if _CODE_NAME.search(word) or (capital and word.lower() not in STOP_WORDS):
            names[word.lower()] = None
    return Question(text, language, frozenset(subject_terms(text, language)), tuple(names))


def _contains(text: str, name: str, present: Set[str], language: str) -> bool:
    if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE):
        return True
    stems = terms(name, language)  # "Planets" for "planet", but 3.1 only for itself
    return not _CODE_NAME.search(name) and bool(stems) and present >= set(stems)
