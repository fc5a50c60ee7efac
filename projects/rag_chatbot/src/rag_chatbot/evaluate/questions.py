"""Measure the quality of answers on a set of questions.

    rag-chatbot eval --qa eval/questions.jsonl --docs docs --json

The documents are ingested into a temporary store and asked about by the code that serves users. A
result is plain JSON with one entry per question.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, BeforeValidator, ConfigDict, StrictBool

from rag_chatbot.answer.answer import Answer, Answerer
from rag_chatbot.answer.follow_up import Exchange
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest
from rag_chatbot.search.retrieve import Retriever
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput
from seedbed.files import read_models
from seedbed.models.embeddings.load_embeddings import load_embeddings
from seedbed.models.load import load_chat_model
from seedbed.runs.evaluation import Figure, Report, log_to_mlflow, quantile
from seedbed.settings import Settings, load

Progress = Callable[[int, int, str], None]  # done, total, unit
Pattern = Annotated[re.Pattern[str], BeforeValidator("(?i){}".format)]  # ignores case


class Case(BaseModel):
    """One question. A right answer matches one of `answers`, and should cite all of `source`.

    >>> Case(id="oak", question="How old is an oak?", answers=["600"]).answerable
    True
    """

    model_config = ConfigDict(frozen=True)

    id: str
    question: str
    answers: list[Pattern] = []
    source: list[str] = []
    answerable: StrictBool = True
    history: list[Exchange] = []


def run(
    qa: Path, docs: Path, model: str | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Evaluate with the settings of the environment: what `rag-chatbot eval` does.

    Logs to MLflow if MLFLOW_TRACKING_URI is set.
    """
    settings, config = load(Settings, model=model), load(Config)
    embeddings = load_embeddings(settings=settings)
    load_model = partial(load_chat_model, settings=settings)
    result = evaluate_qa(
        qa, docs, config, embeddings, load_model, spec=settings.model, progress=progress
    )
    figures = {name: Figure(**figure) for name, figure in result["intervals"].items()}
    about = {"questions": qa.name, "model": settings.model, "embeddings": settings.embeddings}
    log_to_mlflow(Report("rag-chatbot eval", figures, result["cases"], about), "rag_chatbot")
    return result


def evaluate_qa(
    questions: Path,
    docs: Path,
    config: Config,
    embeddings: Any,
    load_model: Callable[[], BaseChatModel] | None,
    *,
    spec: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask each question about the documents under `docs`.

    The result has these shares, each with its n and 95 % Wilson interval under "intervals":

    - answer_accuracy: answerable questions whose answer matches a pattern
    - citation_precision: citations that are in an expected source
    - citation_recall: expected sources that are cited
    - abstention_precision: abstentions that are right
    - abstention_recall: unanswerable questions that got an abstention

    Latencies are in seconds. Raises BadInput if a question is malformed or no document is readable.
    """
    # 1. Read the questions, and ingest the documents into a temporary store.
    cases = read_questions(questions)
    results = []
    with temporary_store(config, embeddings) as store:
        summary = ingest(store, [docs])
        if not summary.chunks:
            raise BadInput(f"{docs} contains no readable document.")
        # 2. Ask once without measuring: models are loaded at their first use.
        answerer = Answerer(Retriever(store, embeddings, config), load_model, config, spec)
        answerer.ask(cases[0].question)
        # 3. Ask each question and score its answer.
        for done, case in enumerate(cases, 1):
            start = time.perf_counter()
            answer = answerer.ask(case.question, history=case.history)
            results.append(_score(case, answer, time.perf_counter() - start))
            if progress:
                progress(done, len(cases), "questions")
    # 4. Sum up.
    figures = {}
    for name in results[0]["counts"]:
        counts = [result["counts"][name] for result in results]
        figures[name] = Figure.share(sum(n for n, _ in counts), sum(n for _, n in counts))
    seconds = [result["seconds"] for result in results]
    for percent in (50, 95):
        latency = quantile(seconds, percent / 100)
        figures[f"latency_p{percent}_s"] = Figure(latency, len(seconds), unit="s")
    return {
        **{name: round(figure.value, 4) for name, figure in figures.items()},
        "questions": len(results),
        "intervals": {name: asdict(figure) for name, figure in figures.items()},
        "cases": results,
    }


def _score(case: Case, answer: Answer, seconds: float) -> dict[str, Any]:
    """One question; "counts" has what it adds to each share, as (successes, total)."""
    cited = [citation.source for citation in answer.citations]
    relevant = sum(any(_same(source, s) for s in case.source) for source in cited)
    sources_cited = sum(any(_same(source, s) for source in cited) for s in case.source)
    matches = any(pattern.search(answer.answer) for pattern in case.answers)
    correct = matches and not answer.abstained if case.answerable else answer.abstained
    yes, no = int(case.answerable), int(not case.answerable)
    return {
        "id": case.id,
        "question": answer.question,
        "answer": answer.answer,
        "answerable": case.answerable,
        "abstained": answer.abstained,
        "correct": correct,
        "seconds": round(seconds, 4),
        "counts": {
            "answer_accuracy": (yes * correct, yes),
            "citation_precision": (yes * relevant, yes * len(cited)),
            "citation_recall": (yes * sources_cited, yes * len(case.source)),
            "abstention_precision": (no * answer.abstained, int(answer.abstained)),
            "abstention_recall": (no * answer.abstained, no),
        },
    }


def _same(source: str, expected: str) -> bool:
    """Whether two sources are equal, or one is the other relative to a parent folder."""
    return source == expected or source.endswith(f"/{expected}") or expected.endswith(f"/{source}")


def read_questions(path: Path) -> list[Case]:
    """Read a JSON Lines file of questions. Raises BadInput with the line that is malformed.

    A line is an object such as {"id": "oak", "question": "How old is an oak?", "answers": ["600"],
    "source": ["trees.md"]}, optionally with "answerable" and "history".
    """
    cases: dict[str, Case] = {}
    for where, case in read_models(path, Case):
        if case.answerable and not case.answers:
            raise BadInput(f"{where}: an answerable question needs a pattern in 'answers'.")
        if case.id in cases:
            raise BadInput(f"{where}: duplicate id {case.id!r}.")
        cases[case.id] = case
    if not cases:
        raise BadInput(f"{path} contains no questions.")
    return list(cases.values())


@contextmanager
def temporary_store(config: Config, embeddings: Any) -> Iterator[Store]:
    """A store in a temporary folder, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="rag-eval-") as folder:
        own = config.model_copy(update={"data_dir": Path(folder), "chroma_url": None})
        with closing(Store(own, embeddings)) as store:
            yield store
