"""Decides whether what was found supports an answer, and whether a sentence is supported.

A logistic model over a few signals; it sees neither the collection nor earlier questions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from rag_chatbot import lexical
from rag_chatbot.select import Candidate

SIGNALS = ("window_cosine", "unit_cosine", "coverage", "missing")
WEIGHTS = (8.0, 4.0, 3.0, -1.0)
BIAS = -6.5


def signals(question: str, scored: Sequence[Candidate], chosen: Sequence[Candidate]) -> list[float]:
    """What the decision is made from; see SIGNALS."""
    given = {t for c in chosen for t in lexical.terms(f"{c.hit.chunk.heading} {c.hit.chunk.text}")}
    wanted = set(lexical.terms(question))
    missing = [t for t in wanted if t not in given]
    return [
        max(float(c.features[1]) for c in scored),
        max(float(c.features[0]) for c in scored),
        1 - len(missing) / max(1, len(wanted)),
        float(len(missing)),
    ]


def confidence(question: str, scored: Sequence[Candidate], chosen: Sequence[Candidate]) -> float:
    """The probability that the chosen units answer the question, 0 to 1."""
    if not chosen:
        return 0.0
    z = BIAS + sum(w * s for w, s in zip(WEIGHTS, signals(question, scored, chosen), strict=True))
    return 1 / (1 + math.exp(-z))


def threshold(strictness: float) -> float:
    """The confidence below which no answer is given: 0 at strictness 0, ½ at ½, 1 at 1."""
    return strictness


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
