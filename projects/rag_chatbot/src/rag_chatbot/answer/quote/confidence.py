"""The decision to answer: a logistic model over a few signals of the question and the spans.

answered = confidence(question, scored) >= threshold(strictness=0.5)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rag_chatbot.answer.quote.features import Candidate
from rag_chatbot.read.language import asked, code_names, subject_terms, terms

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
