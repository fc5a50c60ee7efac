"""Confidence: whether retrieved text supports an answer, and whether it supports one sentence.

    confidence("Which port is the default?", scored) >= threshold(strictness=0.5)

A logistic model over a few signals, which sees neither the collection nor earlier questions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from rag_chatbot.answer.choose import Candidate
from rag_chatbot.read.words import asked, overlap, terms
from seedbed.models.embeddings import Vectors

# Signal → weight. Fitted by `benchmarks/fit_selection.py` to 307 questions about the documentation
# of seven programs, 70 of them not answered there. Calibrated for as many questions that have an
# answer as questions that have none.
WEIGHTS = {
    "unit_cosine": 4.59,  # best cosine of a unit and the question
    "headed_cosine": 2.66,  # the same for the unit below its title and heading
    "coverage": 3.66,  # largest share of the question's terms that occur in one chunk
    "asks_number": -1.98,  # a number is often missing where everything else matches
    "question_words": 0.18,  # number of words: in a long question less has to match
    "asks_yes": 1.01,  # a question for yes or no
    "asks_code": -0.28,  # a question for a command, option or name in code
}
BIAS = -7.87

# A written sentence is supported from these values on; set by hand on the shipped questions.
SUPPORT_COSINE = 0.4
SUPPORT_OVERLAP = 0.4
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def confidence(question: str, scored: Sequence[Candidate]) -> float:
    """The probability, 0 to 1, that the candidates contain the answer to the question."""
    if not scored:
        return 0.0
    values = signals(question, scored)
    z = BIAS + sum(w * value for w, value in zip(WEIGHTS.values(), values, strict=True))
    return 1 / (1 + math.exp(-z))


def signals(question: str, scored: Sequence[Candidate]) -> list[float]:
    """The inputs of `confidence`, in the order of WEIGHTS."""
    question_terms, kinds = set(terms(question)), asked(question)
    coverage = 0.0
    for chunk in {c.hit.chunk.id: c.hit.chunk for c in scored}.values():
        present = set(terms(f"{chunk.title} {chunk.heading} {chunk.text}"))
        coverage = max(coverage, len(question_terms & present) / max(1, len(question_terms)))
    return [
        max(float(c.features[0]) for c in scored),
        max(float(c.features[1]) for c in scored),
        coverage,
        float("number" in kinds),
        float(len(question.split())),
        float("yes" in kinds),
        float("code" in kinds),
    ]


def threshold(strictness: float) -> float:
    """The confidence below which no answer is given: 0 at strictness 0, 0.35 at ½, 1 at 1."""
    return float(strictness**1.5)


def backing(sentence: str, vector: Vectors, scored: Sequence[Candidate]) -> Candidate | None:
    """The candidate that supports a written sentence best, or None.

    It has to be close in meaning, share words, and contain every number of the sentence. `vector`
    is the embedding of the sentence: float32 (dimension,), of length 1.
    """
    weights = dict.fromkeys(terms(sentence), 1.0)
    numbers = set(_NUMBER.findall(sentence))
    best, best_value = None, 0.0
    for c in scored:
        if not numbers <= set(_NUMBER.findall(c.window)):
            continue
        cosine = float(vector @ c.vector)
        shared = overlap(weights, terms(c.window))
        value = 0.5 * cosine + 0.5 * shared
        if value > best_value and cosine >= SUPPORT_COSINE and shared >= SUPPORT_OVERLAP:
            best, best_value = c, value
    return best
