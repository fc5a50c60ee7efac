"""Selection: the spans of retrieved chunks that answer a question best, and how sure that is.

    scored = score(question, candidates(hits), embeddings)
    spans = choose(scored)
    answered = confidence(question, scored) >= threshold(strictness=0.5)

Every quotable unit of every chunk gets a score, a weighted sum of features; the best ones are taken
within a limit of words. Whether they contain the answer is decided by a logistic model over a few
signals, which sees neither the collection nor earlier questions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_chatbot.answer.quotable_units import Unit, displayed, split, words
from rag_chatbot.read.language import (
    SEPARATOR,
    asked,
    code_names,
    context,
    defined_names,
    idf,
    names_in,
    overlap,
    plain,
    shown,
    subject_terms,
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
_UNIT_OVERLAP, _NAMED = (list(FEATURE_WEIGHTS).index(f) for f in ("unit_overlap", "named"))
_WEIGHTS = np.array(list(FEATURE_WEIGHTS.values()), dtype=np.float32)

# Signal → weight. Fitted by the benchmark `fit_selection` to 307 questions about the documentation
# of seven programs, 70 of them not answered there. Calibrated for as many questions that have an
# answer as questions that have none.
SIGNAL_WEIGHTS = {
    "unit_cosine": 4.59,  # best cosine of a unit and the question
    "headed_cosine": 2.66,  # the same for the unit below its title and heading
    "coverage": 3.66,  # largest share of the question's terms that occur in one chunk
    "asks_number": -1.98,  # a number is often missing where everything else matches
    "question_words": 0.18,  # number of words: in a long question less has to match
    "asks_yes": 1.01,  # a question for yes or no
    "asks_code": -0.28,  # a question for a command, option or name in code
    # The best cosine of few units is lower than the best of many. Fitted to 436 questions, 108 of
    # them about collections of one to six sentences, with the weights above fixed.
    "few_units": 0.81,  # 1 for one unit, 0 from MANY_UNITS on
    "few_units_number": 2.35,  # the same if the question asks for a number
    "unknown_name": -2.1,  # the question names an option or variable that no chunk contains
}
MANY_UNITS = 30
BIAS = -7.87

# Set by hand on the same questions.
NEXT_TO = 0.6  # bonus beside a selected unit: an answer often needs two in a row
ANNOUNCED = 8.0  # bonus for what a selected sentence announces, which comes next: "Allowed are:"
SAME_DOCUMENT = 0.8  # bonus in the document of the best unit
LINKS = 2.0  # penalty for a unit that is all links: a table of contents names facts only
FAR = 4.0  # a unit whose score is this far below the best is never quoted
FILLER = 0.5  # of the best cosine; a unit below it that shares no word is left out
FOCUS = 0.4  # share of the last question alone in the features of a condensed one
GAP = 60  # characters allowed between two units of one quote

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


def candidates(hits: Sequence[Hit]) -> list[Candidate]:
    """All quotable units of the hits; a text that occurs in several chunks counts for the first."""
    units_of_hits: list[Candidate] = []
    # Headings count as seen: a line that repeats one, as in a table of contents, answers nothing.
    seen = {_key(part) for hit in hits for part in hit.chunk.heading.split(SEPARATOR)}
    for hit in hits:
        chunk = hit.chunk
        units = split(chunk.text, chunk.type, chunk.heading)
        texts = [_words_of(hit, unit) for unit in units]
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


def choose(
    scored: Sequence[Candidate],
    *,
    quotes: int = 3,
    units: int = 6,
    most_words: int = 84,
    alike: float = 0.9,
) -> list[Candidate]:
    """The best quotes for an answer, best first: greedy, without repeats, within `most_words`.

    At most `units` units are taken, and they make at most `quotes` quotes, as units that follow
    each other are joined. A unit repeats another from a cosine of `alike`.
    """
    left = {(c.hit.chunk.id, c.place): c for c in scored if not _is_filler(c, scored[0])}
    values = {key: c.score for key, c in left.items()}
    floor = max(values.values(), default=0.0) - FAR
    selection: dict[tuple[int, int], Candidate] = {}
    while left and len(selection) < units:
        # 1. Take the best unit that is left.
        key = max(left, key=values.__getitem__)
        best = left.pop(key)
        if values[key] < floor:
            break

        # 2. Pass over it if it repeats another, or if the answer would become too long. A sentence
        #    that announces something is of use only with the beginning of that.
        if any(float(best.vector @ other.vector) > alike for other in selection.values()):
            continue
        needed = [best]
        if best.text.endswith(":"):
            announced = left.get((key[0], key[1] + 1))
            if announced is None and selection:
                continue
            needed += [announced] if announced else []
        joined = _joined([*selection.values(), *needed])
        if selection and (len(joined) > quotes or sum(map(_length, joined)) > most_words):
            continue

        # 3. Raise the units of its document (for the first one), what it announces, and those
        #    beside it.
        if not selection:
            for other_key, other in left.items():
                if other.hit.chunk.document_id == best.hit.chunk.document_id:
                    values[other_key] += SAME_DOCUMENT
        selection[key] = best
        chunk_id, place = key
        for other_key, other in left.items():
            announcement = other.unit.context
            if other_key[0] == chunk_id and announcement and best.quote.endswith(announcement):
                values[other_key] += ANNOUNCED
        for beside in ((chunk_id, place - 1), (chunk_id, place + 1)):
            if beside in values:
                values[beside] += NEXT_TO
    return _joined(list(selection.values()))


def confidence(question: str, scored: Sequence[Candidate]) -> float:
    """The probability, 0 to 1, that the candidates contain the answer to the question."""
    if not scored:
        return 0.0
    values = signals(question, scored)
    z = BIAS + sum(w * value for w, value in zip(SIGNAL_WEIGHTS.values(), values, strict=True))
    return 1 / (1 + math.exp(-z))


def signals(question: str, scored: Sequence[Candidate]) -> list[float]:
    """The inputs of `confidence`, in the order of SIGNAL_WEIGHTS."""
    question_terms, kinds = set(subject_terms(question)), asked(question)
    coverage = 0.0
    text = ""
    for chunk in {c.hit.chunk.id: c.hit.chunk for c in scored}.values():
        text += f"{chunk.title} {chunk.heading} {chunk.text}\n".lower()
        present = set(terms(f"{chunk.title} {chunk.heading} {chunk.text}"))
        coverage = max(coverage, len(question_terms & present) / max(1, len(question_terms)))
    few = max(0.0, 1 - math.log(len(scored)) / math.log(MANY_UNITS))
    return [
        max(float(c.features[0]) for c in scored),
        max(float(c.features[1]) for c in scored),
        coverage,
        float("number" in kinds),
        float(len(question.split())),
        float("yes" in kinds),
        float("code" in kinds),
        few,
        few * float("number" in kinds),
        float(any(name not in text for name in code_names(question))),
    ]


def threshold(strictness: float) -> float:
    """The confidence below which no answer is given: 0 at strictness 0, 0.35 at ½, 1 at 1."""
    return float(strictness**1.5)


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


def _words_of(hit: Hit, unit: Unit) -> str:
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


def _is_filler(c: Candidate, best: Candidate) -> bool:
    """Whether a unit has nothing to do with the question, but for its place beside the best one."""
    if c.features[_NAMED] or (c.unit.context and c.unit.kind != "row"):
        return False
    if c.unit.kind == best.unit.kind == "row" and best.features[_NAMED]:
        return True  # another row than the one that the question names
    return not c.features[_UNIT_OVERLAP] and c.features[0] < FILLER * best.features[0]


def _length(c: Candidate) -> int:
    """Words of a quote as it is displayed; the fences of code count as two."""
    if c.unit.kind == "code" or "```" in c.quote:
        return words(c.quote) + 2
    return words(c.text)


def _joined(selection: Sequence[Candidate]) -> list[Candidate]:
    """Units that follow each other in a chunk as one quote each; best first."""
    runs: list[list[Candidate]] = []
    for c in sorted(selection, key=lambda c: (c.hit.chunk.id, c.place)):
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and (last.hit.chunk.id, last.place + 1) == (c.hit.chunk.id, c.place)
            and c.start - last.end <= GAP
        ):
            runs[-1].append(c)
        else:
            runs.append([c])
    return sorted((_as_one(run) for run in runs), key=lambda c: -c.score)


def _as_one(run: Sequence[Candidate]) -> Candidate:
    """One candidate that spans a run of them, with the score of the best."""
    if len(run) == 1:
        return run[0]
    first, last = run[0], run[-1]
    kinds = {c.unit.kind for c in run}
    kind = first.unit.kind if len(kinds) == 1 and not kinds & {"code"} else "item"
    unit = replace(first.unit, end=last.unit.end, kind=kind)
    text = _words_of(first.hit, unit)
    return replace(max(run, key=lambda c: c.score), unit=unit, text=text, place=first.place)
