"""Decides whether what was found supports an answer, and whether a sentence is supported.

A logistic model over a few signals; it sees neither the collection nor earlier questions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from rag_chatbot.answer.choose import Candidate
from rag_chatbot.search import lexical

SIGNALS = ("unit_cosine", "headed_cosine", "covered", "asks_number", "question_words",
           "asks_yes", "asks_code")  # fmt: skip
# Fitted to 307 questions (70 of them not answered there) over the documentation of seven programs.
WEIGHTS = (4.59, 2.66, 3.66, -1.98, 0.18, 1.01, -0.28)
BIAS = -7.87


def signals(question: str, scored: Sequence[Candidate]) -> list[float]:
    """What the decision is made from; see SIGNALS.

    The best cosine of a unit, alone and below its heading; the largest share of the question's
    terms that one chunk has; the length of the question, because in a long one less has to match;
    and whether a number, a yes or no, or a name in code is asked for: a number is often missing
    where much else matches.
    """
    wanted, asked = set(lexical.terms(question)), lexical.asked(question)
    best = 0.0
    for chunk in {c.hit.chunk.id: c.hit.chunk for c in scored}.values():
        there = lexical.terms(f"{chunk.title} {chunk.heading} {chunk.text}")
        best = max(best, len(wanted & set(there)) / max(1, len(wanted)))
    return [
        max(float(c.features[0]) for c in scored),
        max(float(c.features[1]) for c in scored),
        best,
        float("number" in asked),
        float(len(question.split())),
        float("yes" in asked),
        float("code" in asked),
    ]


def confidence(question: str, scored: Sequence[Candidate]) -> float:
    """The probability that the question can be answered from the candidates, 0 to 1.

    Calibrated for as many questions that can as that cannot.
    """
    if not scored:
        return 0.0
    z = BIAS + sum(w * s for w, s in zip(WEIGHTS, signals(question, scored), strict=True))
    return 1 / (1 + math.exp(-z))


def threshold(strictness: float) -> float:
    """The confidence below which no answer is given: 0 at strictness 0, 0.35 at ½, 1 at 1."""
    limit: float = strictness**1.5
    return limit


_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def backing(sentence: str, vector: np.ndarray, found: Sequence[Candidate]) -> Candidate | None:
    """The candidate that supports a written sentence best, or None when none does.

    Supported means close in meaning, sharing words, and holding every number of the sentence.
    """
    said = dict.fromkeys(lexical.terms(sentence), 1.0)
    numbers = set(_NUMBER.findall(sentence))
    best, best_score = None, 0.0
    for c in found:
        if not numbers <= set(_NUMBER.findall(c.window)):
            continue
        cosine = float(vector @ c.vector)
        shared = lexical.overlap(said, lexical.terms(c.window))
        value = 0.5 * cosine + 0.5 * shared
        if value > best_score and cosine >= 0.4 and shared >= 0.4:
            best, best_score = c, value
    return best
