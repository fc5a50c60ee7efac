"""Fits the weights of rag_chatbot's selection and confidence to questions with known answers.

    python benchmarks/fit_selection.py QUESTIONS.jsonl=DOCS [QUESTIONS.jsonl=DOCS …]

Prints both tables, as in `answer/select.py`, with the present weights;
nothing is written. QUESTIONS.jsonl has the format of `rag-chatbot eval --qa`; DOCS is the folder
that its questions are about.

The present weights were fitted to questions about the documentation of seven programs, 237 with an
answer and 70 without, which are not part of the repository. Pass several sets at once, so that no
single one sets a weight: at least 200 questions, a fifth of them without an answer, and measure the
result on other questions. The 80 that ship with the project are too few for 18 weights; use them to
try the script.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rag_chatbot.answer import select
from rag_chatbot.answer.follow_up import condense
from rag_chatbot.config import Config
from rag_chatbot.evaluate.questions import Case, read_questions, temporary_store
from rag_chatbot.ingest import ingest
from rag_chatbot.search.retrieve import Retriever
from seedbed.models.embeddings.load import load_embeddings

Array = npt.NDArray[np.float64]
STEPS = 3000
RATE = 0.05
DECAY = 1e-3  # pulls weights towards 0, where the questions say nothing about them


@dataclass(frozen=True)
class Example:
    """One question: features (units, features), which units have the answer, and the signals."""

    features: Array
    right: npt.NDArray[np.bool_]
    signals: Array
    answerable: bool


def examples(questions: Path, docs: Path) -> Iterator[Example]:
    """The retrieved units of every question, as `Answerer.stream` sees them."""
    config, embeddings = Config(), load_embeddings()
    with temporary_store(config, embeddings) as store:
        ingest(store, [docs])
        retriever = Retriever(store, embeddings, config)
        for case in read_questions(questions):
            question = condense(case.question, case.history)
            units = select.candidates(retriever.search(question))
            scored = select.score(question, units, embeddings, focus=case.question)
            if scored:
                yield Example(
                    np.array([c.features for c in scored], dtype=np.float64),
                    np.array([has_answer(case, c) for c in scored]),
                    np.array(select.signals(question, scored)),
                    case.answerable,
                )


def has_answer(case: Case, unit: select.Candidate) -> bool:
    """Whether a unit is from an expected source and contains the expected fact."""
    source = unit.hit.chunk.source
    expected = not case.sources or any(
        source.endswith(s) or s.endswith(source) for s in case.sources
    )
    return expected and any(pattern.search(unit.text) for pattern in case.answers)


def fit_selection(data: list[Example]) -> Array:
    """Weights under which units with the answer have the highest share of a softmax over units."""
    usable = [x for x in data if x.answerable and x.right.any() and not x.right.all()]

    def gradient(weights: Array) -> Array:
        total = np.zeros_like(weights)
        for x in usable:
            share = softmax(x.features @ weights)
            right = np.where(x.right, share, 0.0)
            total += (right / right.sum() - share) @ x.features
        return total / len(usable)

    return ascend(gradient, len(select.FEATURE_WEIGHTS))


def fit_confidence(data: list[Example]) -> Array:
    """Weights and bias (last) of a logistic model, both kinds of questions weighted alike."""
    inputs = np.array([[*x.signals, 1.0] for x in data])
    labels = np.array([x.answerable for x in data])
    balance = np.where(labels, 0.5 / max(1, labels.sum()), 0.5 / max(1, (~labels).sum()))

    def gradient(weights: Array) -> Array:
        error = labels - 1 / (1 + np.exp(-inputs @ weights))
        slope: Array = (balance * error) @ inputs
        return slope

    return ascend(gradient, inputs.shape[1])


def ascend(gradient: Callable[[Array], Array], size: int) -> Array:
    """Adam (https://arxiv.org/abs/1412.6980) from 0, with weight decay."""
    weights, mean, square = np.zeros(size), np.zeros(size), np.zeros(size)
    for step in range(1, STEPS + 1):
        slope = gradient(weights) - DECAY * weights
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        weights += RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return weights


def softmax(scores: Array) -> Array:
    shares = np.exp(scores - scores.max())
    total: Array = shares / shares.sum()
    return total


def first_is_right(data: list[Example], weights: Array) -> str:
    """How often the best unit has the answer, among questions with a unit that has it."""
    usable = [x for x in data if x.answerable and x.right.any()]
    hits = sum(bool(x.right[np.argmax(x.features @ weights)]) for x in usable)
    return f"{hits} of {len(usable)}"


def show(title: str, names: list[str], fitted: Array, present: list[float]) -> None:
    print(f"\n{title:24}{'fitted':>8}{'present':>9}")
    for name, new, old in zip(names, fitted, present, strict=True):
        print(f"  {name:22}{new:8.2f}{old:9.2f}")


def main(arguments: list[str]) -> int:
    if not arguments or not all("=" in pair for pair in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    data: list[Example] = []
    for pair in arguments:
        questions, _, docs = pair.partition("=")
        data += examples(Path(questions), Path(docs))
    present = np.array(list(select.FEATURE_WEIGHTS.values()))
    fitted = fit_selection(data)
    show("select.FEATURE_WEIGHTS", list(select.FEATURE_WEIGHTS), fitted, list(present))
    print(f"  best unit right: {first_is_right(data, fitted)}, {first_is_right(data, present)} now")
    names = [*select.SIGNAL_WEIGHTS, "BIAS"]
    values = [*select.SIGNAL_WEIGHTS.values(), select.BIAS]
    show("select.SIGNAL_WEIGHTS", names, fit_confidence(data), values)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
