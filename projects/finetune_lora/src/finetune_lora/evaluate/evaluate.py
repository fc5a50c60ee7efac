"""What `finetune-lora evaluate` does: several predictors on the same examples, side by side.

The result is a dict of plain JSON. Its top level is about the LAST predictor, e.g. the adapter:

    n, exact_match, interval [low, high]   accuracy where answers are labels
    kind            "labels", "calls" (JSON with name and arguments), "json" or "text"
    system          its name
    field_f1        micro F1 over the fields of JSON answers; null for labels and text
    fields          field → {precision, recall, f1, n}
    schema_valid    share that follows `schema`; for labels: that is a label; null for text
    schema          "learned", "any object or array", "labels" or null
    constrained     whether decoding was constrained to valid answers
    latency_p50_ms, latency_p95_ms   per example, as the predictor reports
    macro_f1, labels                 over labels or tools: label → {precision, recall, f1, n}
    slices          slice → value → {n, exact_match, interval}
    largest_gap     of two values of a slice: {slice, best, worst, gap}, or null
    errors          the first 20 wrong answers: {line, request, expected, got}
    systems         name → the figures above, without kind, schema, largest_gap, errors
    differences     of the last system to the first, to the best baseline, to the most frequent
                    answer and to the adapter before its export:
                    {system, against, role, difference, interval, significant, n}
    learned         whether it is significantly better than always giving the most frequent
                    answer of the training data; null without that baseline
    unseen_labels   label → n, for labels (tools) that the training never had
    seen_in_training  how many requests the training data has too, apart from case, punctuation
                    and numbers; null without it
    data            {source, sha256}
    forgetting      `forgetting.compare`, or null
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finetune_lora.answer.prediction import ADAPTER, Prediction, Predictor
from finetune_lora.data.normal import spoken
from finetune_lora.evaluate import metrics, report
from finetune_lora.evaluate.baselines import MAJORITY
from finetune_lora.example import Dataset, Example
from finetune_lora.runs.json_file import finite
from seedbed.errors import BadInput, SeedbedError
from seedbed.runs.evaluation import paired_bootstrap

_ERRORS = 20  # wrong answers that are shown
_SHOWN = 500  # characters of each


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
    - `forgetting` measures it, after the answers; `tell` is called with a line before each step.

    Raises BadInput without examples or predictors, or for two predictors with the same name.
    """
    names = [predictor.name for predictor in predictors]
    if not dataset.examples:
        raise BadInput(f"No examples to evaluate in {dataset.source or 'the dataset'}.")
    if not names or len(set(names)) < len(names):
        raise BadInput(f"Predictors need distinct names: {names}.")
    task = _Task(dataset, schema, train)
    # 1. Answer.
    answers = {}
    for number, predictor in enumerate(predictors, 1):
        of = f"{number} of {len(predictors)}"
        tell(f"Evaluating {predictor.name} ({of}) on {len(dataset)} examples …")
        answers[predictor.name] = _answers(predictor, dataset)
    if forgetting is not None:
        tell("Measuring forgetting on general questions and texts …")
    # 2. Compare.
    correct = {name: task.correct(predictions) for name, predictions in answers.items()}
    systems = {name: task.figures(answers[name], correct[name]) for name in names}
    last = names[-1]
    differences = _differences(correct)
    result: dict[str, Any] = finite(
        {
            **systems[last],
            "kind": task.kind,
            "system": last,
            "schema": task.schema_name,
            "largest_gap": metrics.largest_gap(systems[last]["slices"]),
            "errors": _errors(dataset.examples, answers[last], correct[last]),
            "systems": systems,
            "differences": differences,
            "learned": _learned(differences),
            "unseen_labels": task.unseen,
            "seen_in_training": task.seen,
            "data": {"source": dataset.source, "sha256": dataset.sha256},
            "forgetting": forgetting() if forgetting is not None else None,
        }
    )
    if out is not None:
        report.write(out, result, run=run, progress=progress, names=task.named(answers[last]))
    return result


def _answers(predictor: Predictor, dataset: Dataset) -> list[Prediction]:
    predictions = predictor.answer(dataset.examples)
    if len(predictions) != len(dataset):
        raise SeedbedError(
            f"{predictor.name} returned {len(predictions)} answers for {len(dataset)} examples."
        )
    return predictions


class _Task:
    """The kind of answers that examples expect (labels, calls, JSON or text), and their figures."""

    def __init__(
        self, dataset: Dataset, schema: Mapping[str, Any] | None, train: Dataset | None
    ) -> None:
        self.examples = dataset.examples
        self.expected = [_expected(example) for example in dataset.examples]
        self.kind = _kind(dataset, self.expected)
        self.names = [self._name(answer) for answer in self.expected]
        trained = train.examples if train else ()
        learnt = {self._name(_expected(e)) for e in trained} if train else set(dataset.labels)
        self.trained_names = {name for name in learnt if name is not None}
        unseen = Counter(n for n in self.names if n is not None and n not in self.trained_names)
        self.unseen = dict(sorted(unseen.items())) if self.trained_names else {}
        texts = {spoken(example) for example in trained}
        self.seen = sum(spoken(e) in texts for e in self.examples) if train else None
        self.schema, self.schema_name = self._schema(schema)
        by = "tool" if self.kind == "calls" else "label"
        self.slices = [
            metrics.slices_of(example, name, by=by)
            for example, name in zip(self.examples, self.names, strict=True)
        ]

    def _name(self, answer: str) -> str | None:
        """The label or tool of an answer; None if it has none."""
        if self.kind == "labels":
            return answer.strip() or None
        return metrics.call_name(answer) if self.kind == "calls" else None

    def _schema(
        self, schema: Mapping[str, Any] | None
    ) -> tuple[Mapping[str, Any] | None, str | None]:
        structured = self.kind in ("calls", "json")
        if structured and schema is not None:
            return schema, "learned"
        return None, "any object or array" if structured else self.kind.replace("text", "") or None

    def correct(self, predictions: Sequence[Prediction]) -> list[bool]:
        if self.kind == "labels":  # a label is text, also one that looks like a number
            return [e == p.text.strip() for e, p in zip(self.expected, predictions, strict=True)]
        pairs = zip(self.expected, predictions, strict=True)
        return [metrics.exact_match(e, p.text) for e, p in pairs]

    def figures(self, predictions: Sequence[Prediction], correct: Sequence[bool]) -> dict[str, Any]:
        """The figures of a system, as in `systems`."""
        texts = [p.text for p in predictions]
        micro, fields = metrics.field_scores(self.expected, texts)
        got = [self._name(text) for text in texts]
        named = [n for n in self.names if n is not None]
        scores = metrics.label_scores(named, got) if len(named) == len(got) else {}
        structured = self.kind in ("calls", "json")
        return {
            **metrics.share(correct),
            "field_f1": micro["f1"] if structured else None,
            "fields": fields if structured else {},
            "schema_valid": self._valid(texts, got),
            "constrained": any(prediction.constrained for prediction in predictions),
            **_latency(predictions),
            "macro_f1": metrics.macro_f1(scores) if scores else None,
            "labels": scores,
            "slices": metrics.per_slice(self.slices, correct),
        }

    def _valid(self, texts: Sequence[str], got: Sequence[str | None]) -> float | None:
        if self.schema_name is None:
            return None
        if self.schema_name == "labels":
            valid = [name in {*self.trained_names, *self.names} for name in got]
        else:
            valid = metrics.schema_validity(texts, self.schema)
        return sum(valid) / len(valid)

    def named(self, predictions: Sequence[Prediction]) -> tuple[list[str], list[str | None]]:
        """The names expected and answered, of the examples that have one."""
        pairs = zip(self.names, predictions, strict=True)
        named = [(name, self._name(prediction.text)) for name, prediction in pairs if name]
        return [name for name, _ in named], [answer for _, answer in named]


def _expected(example: Example) -> str:
    return example.answer if example.label is None else example.label.strip()


def _kind(dataset: Dataset, expected: Sequence[str]) -> str:
    if dataset.is_classification:
        return "labels"
    if all(map(_is_call, expected)):
        return "calls"
    return "json" if any(map(metrics.is_structured, expected)) else "text"


def _is_call(answer: str) -> bool:
    return metrics.call_name(answer) is not None and "arguments" in metrics.parse(answer)


def _latency(predictions: Sequence[Prediction]) -> dict[str, float]:
    import numpy as np

    seconds = [p.seconds for p in predictions if math.isfinite(p.seconds)] or [0.0]
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    return {"latency_p50_ms": float(p50), "latency_p95_ms": float(p95)}


def _errors(
    examples: Sequence[Example], predictions: Sequence[Prediction], correct: Sequence[bool]
) -> list[dict[str, Any]]:
    wrong = [
        (e, p) for e, p, right in zip(examples, predictions, correct, strict=True) if not right
    ]
    return [
        {
            "line": example.line,
            "request": example.text[:_SHOWN],
            "expected": example.answer[:_SHOWN],
            "got": prediction.text[:_SHOWN],
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
    return [_difference(correct, last, against, role) for against, role in roles.items()]


def _difference(
    correct: Mapping[str, Sequence[bool]], system: str, against: str, roles: Sequence[str]
) -> dict[str, Any]:
    a, b = list(map(float, correct[system])), list(map(float, correct[against]))
    # Enough for two digits of an interval; 10,000 resamples of a large set take minutes.
    difference = paired_bootstrap(a, b, n=10_000 if len(a) <= 1000 else 2_000)
    figures = asdict(difference)
    interval = [figures.pop("low"), figures.pop("high")]
    about = {"system": system, "against": against, "role": ", ".join(roles), "interval": interval}
    return {**about, **figures, "significant": difference.significant}


def _learned(differences: Sequence[Mapping[str, Any]]) -> bool | None:
    for difference in differences:
        if difference["against"] == MAJORITY:
            return bool(difference["significant"] and difference["difference"] > 0)
    return None
