"""What `finetune-lora evaluate` does: several predictors on the same examples, side by side.

It knows predictors by what they answer, neither torch nor training. Results are plain JSON.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune_lora.answer.prediction import Prediction, Predictor
from finetune_lora.evaluate import metrics, report
from finetune_lora.evaluate.fairness import fairness
from finetune_lora.example import Dataset, Example
from seedbed.errors import BadInput, SeedbedError
from seedbed.files import finite
from seedbed.runs.evaluation import paired_bootstrap

_ERRORS = 20  # wrong answers that are shown
_SHOWN = 500  # characters of each


@dataclass(frozen=True)
class Evaluation:
    """The figures of every system over the same examples.

    `result` at its top level is about the LAST predictor (the adapter, or the base alone):

        n, exact_match, interval [low, high]   accuracy where answers are labels
        kind            "labels", "calls" (JSON with name and arguments), "json" or "text"
        system          its name
        field_f1        micro F1 over the fields of JSON answers; null for labels and text
        fields          field → {precision, recall, f1, n}
        schema_valid    share that follows `schema`; for labels: that is a label; null for text
        schema          "given", "help desk", "any object or array", "labels" or null
        constrained     whether decoding was constrained to valid answers
        latency_p50_ms, latency_p95_ms   per example, as the predictor reports
        macro_f1, labels                 over labels or tools: label → {precision, recall, f1, n}
        ece             expected calibration error; null unless every answer has scores
        slices          slice → value → {n, exact_match, interval}
        fairness        one entry a slice: best, worst, gap, interval, p, conclusion
        confusion       {rows, columns, counts}, or null
        errors          the first 20 wrong answers: {line, request, expected, got}
        systems         name → the figures above, without kind, schema, fairness, confusion, errors
        differences     of the last system to the first and to the best other one:
                        {system, against, role, difference, interval, significant, n}
        unseen_labels   label → n, for labels (tools) that the training never had
        seen_in_training  how many requests the training had word for word; null without it
        data            {source, sha256}
        forgetting      `forgetting.compare`, or null
    """

    result: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return self.result

    def to_markdown(self) -> str:
        return report.to_markdown(self.result)


def evaluate(
    dataset: Dataset,
    predictors: Sequence[Predictor],
    *,
    schema: Mapping[str, Any] | None = None,
    train: Dataset | None = None,
    out: Path | None = None,
    run: Mapping[str, Any] | None = None,
    progress: Sequence[Mapping[str, Any]] = (),
    forgetting: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Let every predictor answer every example and compare; the last one is what it is about.

    `train` tells which labels and requests were trained on. With `out`, report.json, report.md and
    the pictures are written there, each whole or not at all; `run` (run.json) heads the report,
    `progress` (rows of progress.jsonl) gives the loss curves.
    Raises BadInput without examples or predictors, for two of one name or for a wrong schema.
    """
    names = [predictor.name for predictor in predictors]
    if not dataset.examples:
        raise BadInput(f"No examples to evaluate in {dataset.source or 'the dataset'}.")
    if not names or len(set(names)) < len(names):
        raise BadInput(f"Predictors need distinct names: {names}.")
    task = _Task(dataset, schema, train)
    answers = {predictor.name: _answers(predictor, dataset) for predictor in predictors}
    correct = {name: task.correct(found) for name, found in answers.items()}
    systems = {name: task.figures(answers[name], correct[name]) for name in names}
    last = names[-1]
    result = {
        **systems[last],
        "kind": task.kind,
        "system": last,
        "schema": task.schema_name,
        "fairness": fairness(task.slices, correct[last]),
        "confusion": task.confusion(answers[last]),
        "errors": _errors(dataset.examples, answers[last], correct[last]),
        "systems": systems,
        "differences": _differences(correct),
        "unseen_labels": task.unseen,
        "seen_in_training": task.seen,
        "data": {"source": dataset.source, "sha256": dataset.sha256},
        "forgetting": forgetting,
    }
    evaluation = Evaluation(finite(result))
    if out is not None:
        report.write(out, evaluation.result, run=run, progress=progress)
    return evaluation


def _answers(predictor: Predictor, dataset: Dataset) -> list[Prediction]:
    found = predictor.answer(dataset.examples)
    if len(found) != len(dataset):
        raise SeedbedError(
            f"{predictor.name} returned {len(found)} answers for {len(dataset)} examples."
        )
    return found


class _Task:
    """What the examples ask for: labels, calls, JSON or text; and what is known beforehand."""

    def __init__(
        self, dataset: Dataset, schema: Mapping[str, Any] | None, train: Dataset | None
    ) -> None:
        self.examples = dataset.examples
        self.expected = [_expected(example) for example in dataset.examples]
        self.kind = _kind(dataset, self.expected)
        self.names = [self._name(answer) for answer in self.expected]
        trained = train.examples if train else ()
        learnt = {self._name(_expected(e)) for e in trained} if train else set(dataset.labels)
        self.known = {name for name in learnt if name is not None}
        unseen = Counter(n for n in self.names if n is not None and n not in self.known)
        self.unseen = dict(sorted(unseen.items())) if self.known else {}
        texts = {example.text for example in trained}
        self.seen = sum(e.text in texts for e in self.examples) if train else None
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
        self, given: Mapping[str, Any] | None
    ) -> tuple[Mapping[str, Any] | None, str | None]:
        if given is not None:
            return given, "given"
        if self.kind == "calls":
            from finetune_lora.task.tools import CALL_SCHEMA

            if all(metrics.schema_validity(self.expected, CALL_SCHEMA)):
                return CALL_SCHEMA, "help desk"
        structured = self.kind in ("calls", "json")
        return None, "any object or array" if structured else self.kind.replace("text", "") or None

    def correct(self, found: Sequence[Prediction]) -> list[bool]:
        if self.kind == "labels":  # a label is text, also one that looks like a number
            return [e == p.text.strip() for e, p in zip(self.expected, found, strict=True)]
        pairs = zip(self.expected, found, strict=True)
        return [metrics.exact_match(e, p.text) for e, p in pairs]

    def figures(self, found: Sequence[Prediction], correct: Sequence[bool]) -> dict[str, Any]:
        """What each system has; see Evaluation."""
        texts = [p.text for p in found]
        micro, fields = metrics.field_scores(self.expected, texts)
        got = [self._name(text) for text in texts]
        named = [n for n in self.names if n is not None]
        scores = metrics.label_scores(named, got) if len(named) == len(got) else {}
        structured = self.kind in ("calls", "json")
        return {
            **metrics.share(correct),
            "field_f1": micro.f1 if structured else None,
            "fields": {n: c.as_json() for n, c in fields.items()} if structured else {},
            "schema_valid": self._valid(texts, got),
            "constrained": any(prediction.constrained for prediction in found),
            **_latency(found),
            "macro_f1": metrics.macro_f1(scores) if scores else None,
            "labels": {label: c.as_json() for label, c in scores.items()},
            "ece": _calibration(found, correct) if self.kind == "labels" else None,
            "slices": metrics.per_slice(self.slices, correct),
        }

    def _valid(self, texts: Sequence[str], got: Sequence[str | None]) -> float | None:
        if self.schema_name is None:
            return None
        if self.schema_name == "labels":
            valid = [name in {*self.known, *self.names} for name in got]
        else:
            valid = metrics.schema_validity(texts, self.schema)
        return sum(valid) / len(valid)

    def confusion(self, found: Sequence[Prediction]) -> dict[str, Any] | None:
        named = [name for name in self.names if name is not None]
        if len(named) < len(found):
            return None
        got = [self._name(prediction.text) for prediction in found]
        return metrics.confusion(named, got, self.known)


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


def _latency(found: Sequence[Prediction]) -> dict[str, float]:
    import numpy as np

    seconds = [p.seconds for p in found if math.isfinite(p.seconds)] or [0.0]
    p50, p95 = np.percentile(seconds, [50, 95]) * 1000
    return {"latency_p50_ms": float(p50), "latency_p95_ms": float(p95)}


def _calibration(found: Sequence[Prediction], correct: Sequence[bool]) -> float | None:
    tables = [metrics.probabilities(p.scores) if p.scores else None for p in found]
    confidence = [max(table.values()) for table in tables if table]
    if len(confidence) < len(found):
        return None
    return metrics.calibration_error(confidence, correct)


def _errors(
    examples: Sequence[Example], found: Sequence[Prediction], correct: Sequence[bool]
) -> list[dict[str, Any]]:
    wrong = [(e, p) for e, p, right in zip(examples, found, correct, strict=True) if not right]
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
    """The last system against the first, and against the best of the others."""
    *others, last = correct
    if not others:
        return []
    best = max(others, key=lambda name: sum(correct[name]))  # the first of equals
    roles = {others[0]: "first baseline"}
    roles[best] = "best baseline" if best != others[0] else "first and best baseline"
    found = []
    for against, role in roles.items():
        a, b = list(map(float, correct[last])), list(map(float, correct[against]))
        # Enough for two digits of an interval; 10,000 of a large set take minutes.
        difference = paired_bootstrap(a, b, n=10_000 if len(a) <= 1000 else 2_000)
        figures = asdict(difference)
        interval = [figures.pop("low"), figures.pop("high")]
        known = {"system": last, "against": against, "role": role, "interval": interval}
        found.append({**known, **figures, "significant": difference.significant})
    return found
