"""Fits the weights of rag_chatbot's quote mode to collections, leaving out each of them in turn.

    python -m benchmarks.fit_quotes                                      # for minilm
    SEEDBED_EMBEDDINGS=multilingual-e5 python -m benchmarks.fit_quotes

Prints the results of each collection in `collections/fitted` with weights fitted to the others,
then the row of `answer/quote/quote.py::WEIGHTS` fitted to all. For a multilingual model, the
questions of XQuAD in three languages are fitted to as well, and those in Spanish are left out.

Each answerable question is used twice: as it is, and without the passages that answer it, so that
those left over nearly do.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.answers import COLLECTIONS, COLUMNS, figures, interval
from rag_chatbot.answer.follow_up import searches
from rag_chatbot.answer.quote import quote
from rag_chatbot.config import Config
from rag_chatbot.evaluate.questions import evaluate_qa, read_questions, temporary_store
from rag_chatbot.ingest import ingest
from rag_chatbot.search.retrieve import Retriever
from seedbed.models.embeddings.load_embeddings import load_embeddings

Array = npt.NDArray[np.float64]
XQUAD = COLLECTIONS.parent / "xquad"
STEPS, RATE = 400, 0.05
DECAY = 1e-2  # pulls weights towards 0, where the questions say nothing about them
PRIOR = 2.1  # questions with an answer per question without one, as users ask them: our guess
RANKING = 0.5  # weight of the loss term that ranks a right span above wrong ones


@dataclass(frozen=True)
class Example:
    """One question: features with a 1 at the end (spans, features + 1), and the right spans."""

    features: Array
    right: npt.NDArray[np.bool_]


def main() -> None:
    """Print the left-out results and the weights."""
    embeddings = load_embeddings()
    model = quote.model_of(embeddings)
    questions = sorted(COLLECTIONS.glob("fitted/*.jsonl"))
    files = {path.stem: (path, COLLECTIONS / "documents" / path.stem) for path in questions}
    with tempfile.TemporaryDirectory() as folder:
        for language in ("en", "de", "zh", "es") if model != "minilm" else ():
            files[language] = write_xquad(Path(folder, language), language)
        data = {name: list(examples(*paths, embeddings)) for name, paths in files.items()}
        for left_out, paths in files.items():
            others = [x for name in data if name not in (left_out, "es") for x in data[name]]
            quote.WEIGHTS[model] = tuple(fit(others))
            row = figures(evaluate_qa(*paths, Config(mode="quote"), embeddings, None)["cases"])
            print(left_out, *(f"{name} {interval(row[name])}" for name in COLUMNS), flush=True)
    weights = fit([x for name in data if name != "es" for x in data[name]])
    print(f'    "{model}": ({", ".join(f"{w:.2f}" for w in weights)}),')


def write_xquad(folder: Path, language: str) -> tuple[Path, Path]:
    """The questions and the paragraphs of one language, as files."""
    docs = folder / "docs"
    docs.mkdir(parents=True)
    cases = []
    for text in json.loads((XQUAD / f"{language}.json").read_text("utf-8")):
        source = f"{text['id']}.md"
        (docs / source).write_text(f"# {text['title']}\n\n{text['context']}\n", "utf-8")
        for entry in text["questions"]:
            answers = [re.escape(answer) for answer in entry["answers"]]
            case = {"id": entry["id"], "question": entry["question"], "answers": answers}
            cases.append(json.dumps({**case, "source": [source]}, ensure_ascii=False))
    (folder / "questions.jsonl").write_text("\n".join(cases), "utf-8")
    return folder / "questions.jsonl", docs


def examples(questions: Path, docs: Path, embeddings: Any) -> Iterator[Example]:
    """The retrieved spans of every question, with and without the passages that answer it."""
    config = Config()
    with temporary_store(config, embeddings) as store:
        ingest(store, [docs])
        retriever = Retriever(store, embeddings, config)
        for case in read_questions(questions):
            question = searches(case.question, case.history)[0]
            hits = retriever.search(question, k=3 * config.k)
            others = [x for x in hits if not any(p.search(x.chunk.text) for p in case.answers)]
            for selection in (hits, others) if case.answerable else (hits,):
                top = selection[: config.k]
                spans, texts = quote.candidates(top)
                rows, _ = quote.features(question, top, spans, texts, embeddings)
                right = np.array([any(p.search(text) for p in case.answers) for text in texts])
                # A search that missed the answer is no example of a question without one.
                if top != hits[: config.k] or not case.answerable or right.any():
                    yield Example(np.c_[rows, np.ones(len(rows))].astype(np.float64), right)


def fit(data: list[Example]) -> Array:
    """Weights and bias (last): logistic for the best span, and softmax over a question's spans.

    Adam (https://arxiv.org/abs/1412.6980) from 0. Questions with and without an answer weigh alike.
    """
    weights, mean, square = (np.zeros(data[0].features.shape[1]) for _ in range(3))
    answered = sum(x.right.any() for x in data)
    for step in range(1, STEPS + 1):
        slope = -DECAY * weights * np.array([1.0] * (len(weights) - 1) + [0.0])
        for x in data:
            scores = x.features @ weights
            has_answer = bool(x.right.any())
            best = int(np.argmax(np.where(x.right, scores, -np.inf) if has_answer else scores))
            error = has_answer - 1 / (1 + np.exp(-scores[best]))
            slope += (
                error * x.features[best] / (answered if has_answer else len(data) - answered) / 2
            )
            if has_answer:
                shares = np.exp(scores - scores.max())
                shares /= shares.sum()
                right = np.where(x.right, shares, 0.0)
                slope += RANKING / answered * (right / right.sum() - shares) @ x.features
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        weights += RATE * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    weights[-1] += np.log(PRIOR)
    return weights


if __name__ == "__main__":
    main()
