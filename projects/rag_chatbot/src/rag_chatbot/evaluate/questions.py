"""Measure the quality of answers on a set of questions, and compare two results.

    rag-chatbot eval --qa eval/questions.jsonl --docs docs --json > now.json
    rag-chatbot eval --qa eval/questions.jsonl --docs docs --compare now.json

The documents are ingested into a temporary store and asked about by the code that serves users. A
result is plain JSON with one entry per question.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rag_chatbot.answer.answer import Answer, Answerer
from rag_chatbot.answer.follow_up import Exchange
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest
from rag_chatbot.search.retrieve import Retriever
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput
from seedbed.files import read_json_lines
from seedbed.runs.evaluation import Figure, Report, log_to_mlflow, paired_bootstrap, quantile

Progress = Callable[[int, int, str], None]  # done, total, unit


@dataclass(frozen=True)
class Case:
    """One question. A right answer matches one of `answers` and cites one of `sources`."""

    id: str
    question: str
    answers: tuple[re.Pattern[str], ...]
    sources: tuple[str, ...]
    answerable: bool
    history: tuple[Exchange, ...] = ()


def run(
    qa: Path,
    docs: Path,
    model: str | None = None,
    *,
    baseline: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate with the settings of the environment: what `rag-chatbot eval` does.

    `baseline` is the JSON of an earlier result; differences from it come under "compared". Logs to
    MLflow if MLFLOW_TRACKING_URI is set.
    """
    from seedbed.models.chat.load import load_chat_model
    from seedbed.models.embeddings.load import load_embeddings
    from seedbed.settings import Settings, load

    before = _read_result(baseline) if baseline else None
    settings, config = load(Settings, model=model), load(Config)
    embeddings = load_embeddings(settings=settings)
    chat_model = partial(load_chat_model, settings=settings)
    result = evaluate_qa(
        qa, docs, config, embeddings, chat_model, spec=settings.model, progress=progress
    )
    if before is not None:
        result["compared"] = compare(result, before)
    about = {"questions": qa.name, "model": settings.model, "embeddings": settings.embeddings}
    log_to_mlflow(_report(result, about), "rag_chatbot")
    return result


def evaluate_qa(
    questions: Path,
    docs: Path,
    config: Config,
    embeddings: Any,
    chat_model: Any,
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
        answerer = Answerer(Retriever(store, embeddings, config), chat_model, config, spec)
        answerer.ask(cases[0].question)
        # 3. Ask each question and score its answer.
        for done, case in enumerate(cases, 1):
            start = time.perf_counter()
            answer = answerer.ask(case.question, history=case.history)
            results.append(_score(case, answer, time.perf_counter() - start))
            if progress:
                progress(done, len(cases), "questions")
    # 4. Sum up.
    return _summary(results)


def _score(case: Case, answer: Answer, seconds: float) -> dict[str, Any]:
    """The figures of one question; None for those that apply only to answerable ones."""
    cited = [citation.source for citation in answer.citations]
    right = [source for source in cited if any(_same(source, s) for s in case.sources)]
    sources_cited = [s for s in case.sources if any(_same(source, s) for source in cited)]
    matches = any(pattern.search(answer.answer) for pattern in case.answers)
    answered = not answer.abstained
    return {
        "id": case.id,
        "question": answer.question,
        "answer": answer.answer,
        "answerable": case.answerable,
        "abstained": answer.abstained,
        "correct": (answered and matches) if case.answerable else answer.abstained,
        "citations": len(cited) if case.answerable else None,
        "right_citations": len(right) if case.answerable else None,
        "sources": len(case.sources) if case.answerable else None,
        "cited_sources": len(sources_cited) if case.answerable else None,
        "seconds": round(seconds, 4),
        "words": len(answer.answer.split()) if answered else None,
    }


def _same(source: str, expected: str) -> bool:
    """Whether two sources are equal, or one is the other relative to a parent folder."""
    return source == expected or source.endswith(f"/{expected}") or expected.endswith(f"/{source}")


def _summary(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures over all questions, as `evaluate_qa` describes them."""

    def total(name: str) -> int:
        return sum(case[name] or 0 for case in cases)

    answerable = [case for case in cases if case["answerable"]]
    abstentions = [case for case in cases if case["abstained"]]
    right_abstentions = sum(not case["answerable"] for case in abstentions)
    shares = {
        "answer_accuracy": (sum(case["correct"] for case in answerable), len(answerable)),
        "citation_precision": (total("right_citations"), total("citations")),
        "citation_recall": (total("cited_sources"), total("sources")),
        "abstention_precision": (right_abstentions, len(abstentions)),
        "abstention_recall": (right_abstentions, len(cases) - len(answerable)),
    }
    figures = {name: Figure.share(*counts) for name, counts in shares.items()}
    seconds = [case["seconds"] for case in cases]
    words = [case["words"] for case in cases if case["words"] is not None]
    return {
        **{name: round(figure.value, 4) for name, figure in figures.items()},
        "latency_p50_s": quantile(seconds, 0.5),
        "latency_p95_s": quantile(seconds, 0.95),
        "words_per_answer": round(sum(words) / len(words), 1) if words else 0.0,
        "questions": len(cases),
        "intervals": {name: asdict(figure) for name, figure in figures.items()},
        "cases": cases,
    }


def read_questions(path: Path) -> list[Case]:
    """Read a JSON Lines file of questions. Raises BadInput with the line that is malformed.

    A line is an object such as {"id": "oak", "question": "How old is an oak?", "answers": ["600"],
    "source": ["trees.md"]}, optionally with "answerable" and "history".
    """
    cases: dict[str, Case] = {}
    for where, row in read_json_lines(path, hint="--qa takes a file with one JSON object a line."):
        case = _case(row, where)
        if case.id in cases:
            raise BadInput(f"{where}: duplicate id {case.id!r}.")
        cases[case.id] = case
    if not cases:
        raise BadInput(f"{path} contains no questions.")
    return list(cases.values())


def _case(row: dict[str, Any], where: str) -> Case:
    answerable = row.get("answerable", True)
    if not isinstance(answerable, bool):
        raise BadInput(f"{where}: 'answerable' must be true or false, not {answerable!r}.")
    patterns = []
    for pattern in _texts(row, "answers", where):
        try:
            patterns.append(re.compile(pattern, re.IGNORECASE))
        except re.error as error:
            raise BadInput(
                f"{where}: {pattern!r} is not a valid regular expression ({error})."
            ) from None
    if answerable and not patterns:
        raise BadInput(f"{where}: an answerable question needs a pattern in 'answers'.")
    history = row.get("history") or []
    if not isinstance(history, list) or not all(isinstance(turn, dict) for turn in history):
        raise BadInput(f"{where}: 'history' must be a list of objects with a 'question'.")
    turns = [
        Exchange(text_of(t, "question", where), text_of(t, "answer", where, "")) for t in history
    ]
    return Case(
        id=text_of(row, "id", where),
        question=text_of(row, "question", where),
        answers=tuple(patterns),
        sources=tuple(_texts(row, "source", where)),
        answerable=answerable,
        history=tuple(turns),
    )


def _texts(row: dict[str, Any], name: str, where: str) -> list[str]:
    values = row.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BadInput(f"{where}: {name!r} must be a list of texts, not {values!r}.")
    return values


def compare(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Compare each measure over the cases that both results have.

    Returns per measure the mean difference and its 95 % interval, by paired bootstrap;
    `significant` if the interval excludes 0. Raises BadInput if no case is in both.
    """
    old = {case["id"]: case for case in before.get("cases", ())}
    pairs = [(case, old[case["id"]]) for case in now.get("cases", ()) if case["id"] in old]
    differences: dict[str, dict[str, Any]] = {}
    for measure in sorted({name for case, _ in pairs for name in case}):
        values = [
            (float(new[measure]), float(was[measure]))
            for new, was in pairs
            if _is_number(new.get(measure)) and _is_number(was.get(measure))
        ]
        if values:
            difference = paired_bootstrap([a for a, _ in values], [b for _, b in values])
            differences[measure] = {**asdict(difference), "significant": difference.significant}
    if not differences:
        raise BadInput(
            "The two results have no measured case in common.",
            hint="Compare results of the same command on the same questions.",
        )
    return differences


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _read_result(path: Path) -> dict[str, Any]:
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        if all("id" in case for case in result["cases"]):
            return dict(result)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError):
        pass
    raise BadInput(
        f"{path} is not the result of an evaluation.",
        hint="Create one with: rag-chatbot eval … --json",
    )


def _report(result: Mapping[str, Any], about: Mapping[str, str]) -> Report:
    """The figures in the form that `seedbed.runs.evaluation` logs to MLflow."""
    figures = {name: Figure(**figure) for name, figure in result["intervals"].items()}
    for name in ("latency_p50_s", "latency_p95_s", "words_per_answer"):
        figures[name] = Figure(result[name], result["questions"])
    return Report("rag-chatbot eval", figures, result["cases"], about)


def text_of(row: dict[str, Any], name: str, where: str, default: str | None = None) -> str:
    """A text field of a JSON object. If it is missing or null, `default`, unless that is None.

    Raises BadInput, beginning with `where`, if it is anything else.
    """
    value = row.get(name, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise BadInput(f"{where}: {name!r} must be text, not {value!r}.")
    return value


@contextmanager
def temporary_store(config: Config, embeddings: Any) -> Iterator[Store]:
    """A store in a temporary folder, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="rag-eval-") as folder:
        own = config.model_copy(update={"data_dir": Path(folder), "chroma_url": None})
        store = Store(own, embeddings)
        try:
            yield store
        finally:
            store.close()
