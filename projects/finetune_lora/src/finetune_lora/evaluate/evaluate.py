"""Compares predictors on the same examples, as `finetune-lora evaluate` does.

    result = evaluate(dataset, [base, adapter], train=train, out=Path("report"))
    result["exact_match"], result["interval"]     # of the last predictor
    result["systems"]["base"]["exact_match"]      # of another one

The result is a dict of plain JSON. Its top level is about the last predictor, e.g. the adapter.
Figures that do not apply to the kind of answers are null.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from finetune_lora.answer.answer_schema import allowed_values
from finetune_lora.answer.prediction import ADAPTER, Prediction, Predictor
from finetune_lora.data.card import public_name
from finetune_lora.data.clean import spoken
from finetune_lora.evaluate import metrics, report
from finetune_lora.evaluate.baselines import MAJORITY
from finetune_lora.example import Dataset, Example
from finetune_lora.runs.json_file import finite
from seedbed.errors import BadInput, SeedbedError
from seedbed.runs.evaluation import paired_bootstrap, quantile

_ERRORS = 20  # wrong answers that are listed
_MAX_CHARS = 500  # of each


def evaluate(
    dataset: Dataset,
    predictors: Sequence[Predictor],
    *,
    schema: Mapping[str, Any] | None = None,
    train: Dataset | None = None,
    out: Path | None = None,
    run: Mapping[str, Any] | None = None,
    progress: Sequence[Mapping[str, Any]] = (),
    forgetting: Callable[[], Mapping[str, Any]] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Let every predictor answer every example and compare; the report is about the last one.

    - `schema` describes valid answers; `train` is the training data.
    - With `out`, report.json, report.md and the pictures are written there, each atomically. `run`
      (run.json) is named in the report, `progress` (rows of progress.jsonl) gives the loss curves.
    - `forgetting` is called last and returns its figures; `tell` gets a line before each step.

    Raises BadInput without examples or predictors, or for two predictors with the same name.
    """
    systems = [predictor.name for predictor in predictors]
    if not dataset.examples:
        raise BadInput(f"No examples to evaluate in {dataset.source or 'the dataset'}.")
    if not systems or len(set(systems)) < len(systems):
        raise BadInput(f"Predictors need distinct names: {systems}.")
    # 1. Answer.
    answers = {}
    for number, predictor in enumerate(predictors, 1):
        of = f"{number} of {len(predictors)}"
        tell(f"Evaluating {predictor.name} ({of}) on {len(dataset)} examples …")
        answers[predictor.name] = _answers(predictor, dataset)
    if forgetting is not None:
        tell("Measuring forgetting on general questions and texts …")
    # 2. Compare with the expected answers, and with each other.
    examples, kind = dataset.examples, _kind(dataset)
    expected = [example.answer for example in examples]
    name_of = partial(_name, kind)
    names = list(map(name_of, expected))
    train_examples = train.examples if train else ()
    train_names = {name_of(e.answer) for e in train_examples} or set(dataset.labels or names)
    structured = kind in ("calls", "json")
    slices = [
        metrics.slices_of(example, name, by="tool" if kind == "calls" else "label")
        for example, name in zip(examples, names, strict=True)
    ]
    correct, figures = {}, {}
    for system, predictions in answers.items():
        texts = [prediction.text for prediction in predictions]
        seconds = [prediction.seconds for prediction in predictions]
        micro, fields = metrics.field_scores(expected, texts) if structured else ({}, {})
        labels = metrics.label_scores(names, list(map(name_of, texts)))
        correct[system] = list(map(partial(_is_right, kind), expected, texts))
        figures[system] = {
            **metrics.share(correct[system]),
            "field_f1": micro.get("f1"),
            "fields": fields,
            "macro_f1": metrics.macro_f1(labels),
            "labels": labels,
            "schema_valid": _valid(kind, texts, schema, {*train_names, *names}),
            "constrained": any(prediction.constrained for prediction in predictions),
            "latency_p50_ms": 1000 * quantile(seconds, 0.5),
            "latency_p95_ms": 1000 * quantile(seconds, 0.95),
            "slices": metrics.per_slice(slices, correct[system]),
        }
    last, differences = systems[-1], _differences(correct)
    result: dict[str, Any] = finite(
        {
            **figures[last],
            "kind": kind,
            "system": last,
            "allowed": allowed_values(dict(schema)) if schema and structured else {},
            "largest_gap": metrics.largest_gap(figures[last]["slices"]),
            "errors": _errors(examples, answers[last], correct[last]),
            "systems": figures,
            "differences": differences,
            "learned": _learned(differences),
            "unseen_labels": Counter(name for name in names if name and name not in train_names),
            "seen_in_training": _seen(examples, train_examples) if train else None,
            "data": {"source": public_name(dataset.source), "sha256": dataset.sha256},
            "training": report.training_facts(run or {}),
            "forgetting": forgetting() if forgetting is not None else {},
        }
    )
    if out is not None:
        pairs = [(n, name_of(p.text)) for n, p in zip(names, answers[last], strict=True) if n]
        report.write(out, result, progress=progress, names=pairs)
    return result


def _answers(predictor: Predictor, dataset: Dataset) -> list[Prediction]:
    predictions = predictor.answer(dataset.examples)
    if len(predictions) != len(dataset):
        raise SeedbedError(
            f"{predictor.name} returned {len(predictions)} answers for {len(dataset)} examples."
        )
    return predictions


def _kind(dataset: Dataset) -> str:
    """labels, calls (JSON with name and arguments), json or text."""
    if dataset.is_classification:
        return "labels"
    answers = [example.answer for example in dataset.examples]
    if all(map(metrics.call_name, answers)):
        return "calls"
    return "text" if all(metrics.structure(answer) is None for answer in answers) else "json"


def _name(kind: str, answer: str) -> str | None:
    """The label or tool of an answer; None if it has none."""
    if kind == "labels":
        return answer.strip() or None
    return metrics.call_name(answer) if kind == "calls" else None


def _is_right(kind: str, expected: str, got: str) -> bool:
    if kind == "labels":  # a label is text, also one that looks like a number
        return expected.strip() == got.strip()
    return metrics.exact_match(expected, got)


def _valid(
    kind: str, texts: list[str], schema: Mapping[str, Any] | None, labels: set[str | None]
) -> float | None:
    """The share of answers that are a label, or follow the schema; None for text."""
    if kind == "text":
        return None
    if kind == "labels":
        return sum(text.strip() in labels for text in texts) / len(texts)
    return sum(metrics.schema_validity(texts, schema)) / len(texts)


def _seen(examples: Sequence[Example], learned: Sequence[Example]) -> int:
    """How many requests are in the training data too, ignoring case, punctuation and numbers."""
    questions = set(map(spoken, learned))
    return sum(spoken(example) in questions for example in examples)


def _errors(
    examples: Sequence[Example], predictions: Sequence[Prediction], correct: Sequence[bool]
) -> list[dict[str, Any]]:
    triples = zip(examples, predictions, correct, strict=True)
    wrong = [(example, prediction) for example, prediction, right in triples if not right]
    return [
        {
            "line": example.line,
            "request": example.text[:_MAX_CHARS],
            "expected": example.answer[:_MAX_CHARS],
            "got": prediction.text[:_MAX_CHARS],
        }
        for example, prediction in wrong[:_ERRORS]
    ]


def _differences(correct: Mapping[str, Sequence[bool]]) -> list[dict[str, Any]]:
    """The last system compared with the systems that a reader asks about, each in its role."""
    *others, last = correct
    baselines = [name for name in others if name != ADAPTER]
    roles: dict[str, list[str]] = {}
    if baselines:
        best = max(baselines, key=lambda name: sum(correct[name]))  # the first of equals
        roles.setdefault(baselines[0], []).append("first baseline")
        roles.setdefault(best, []).append("best baseline")
    if MAJORITY in others:
        roles.setdefault(MAJORITY, []).append("majority class")
    if ADAPTER in others:
        roles[ADAPTER] = ["before export"]
    differences = []
    for against, titles in roles.items():
        a, b = list(map(float, correct[last])), list(map(float, correct[against]))
        # Enough for two digits of an interval; 10,000 resamples of a large set take minutes.
        comparison = paired_bootstrap(a, b, n=10_000 if len(a) <= 1000 else 2_000)
        differences.append(
            {
                "system": last,
                "against": against,
                "role": ", ".join(titles),
                "difference": comparison.difference,
                "interval": [comparison.low, comparison.high],
                "n": comparison.n,
                "significant": comparison.significant,
            }
        )
    return differences


def _learned(differences: Sequence[Mapping[str, Any]]) -> bool | None:
    """Whether the last system is better than the most frequent answer; None if that is unknown."""
    for difference in differences:
        if difference["against"] == MAJORITY:
            return bool(difference["significant"] and difference["difference"] > 0)
    return None
