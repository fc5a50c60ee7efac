"""Figures of answers against what was expected: whole, field by field, by label, by slice.

Shares come with their Wilson interval.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from finetune_lora.example import Example
from seedbed.runs.evaluation import wilson_interval

Scores = dict[str, float]
"""`precision`, `recall`, `f1`, and `n`, the number of expected values."""
_LENGTHS = (40, 80, 160, 320)  # characters, as not every language separates words
_MOST_VALUES = 40  # of one tag: more are an identifier, not a slice


def parse(answer: str) -> Any:
    """The JSON value of an answer; a whole number is an integer, however it is written.

    Raises ValueError for any other text, also for NaN, Infinity and endless nesting.
    """
    try:
        return json.loads(answer, parse_float=_number, parse_constant=_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is not valid JSON")
    return int(number) if number.is_integer() else number


def exact_match(expected: str, got: str) -> bool:
    """Whether an answer is right as a whole.

    JSON is compared as values: the order of keys and white space do not count, and 2 is 2.0, but
    neither "2" nor true is 1. Anything else is compared as text, without white space at its ends.
    """
    target = _normal_form(expected)
    return expected.strip() == got.strip() if target is None else target == _normal_form(got)


def _normal_form(answer: str) -> str | None:
    """The same text for all JSON of a value; None for an answer that is not JSON."""
    try:
        return json.dumps(parse(answer), sort_keys=True)
    except (ValueError, RecursionError):
        return None


def structure(answer: str) -> dict[str, Any] | list[Any] | None:
    """An answer as a JSON object or array; None if it is neither."""
    try:
        value = parse(answer)
    except ValueError:
        return None
    return value if isinstance(value, (dict, list)) else None


def field_scores(expected: Sequence[str], got: Sequence[str]) -> tuple[Scores, dict[str, Scores]]:
    """(micro over all fields, per field) of answers that are JSON.

    A field is the path of a value, `arguments.user`; items of an array share one, `tags[]`. A wrong
    value is one false positive and one false negative, as in slot filling. Examples whose expected
    answer is not a JSON object or array are left out; an answer that is not JSON has no fields.
    """
    right, targets, answered = Counter[str](), Counter[str](), Counter[str]()
    for target, answer in zip(expected, got, strict=True):
        if structure(target) is not None:
            a, b = _fields(target), _fields(answer)
            right.update(name for name, *_ in a & b)
            targets.update(name for name, *_ in a)
            answered.update(name for name, *_ in b)
    names = sorted({*targets, *answered})
    fields = {name: _scores(right[name], targets[name], answered[name]) for name in names}
    return _scores(right.total(), targets.total(), answered.total()), fields


def _fields(answer: str) -> set[tuple[str, str, str]]:
    """(field, place, value) of an answer. Without recursion, as answers can be nested deeply."""
    fields = set()
    waiting: list[tuple[str, str, Any]] = [("", "", structure(answer) or {})]
    while waiting:
        name, place, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}", f"{place}.{key}", item) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{name}[]", f"{place}[{i}]", item) for i, item in enumerate(value)]
        else:
            fields.add((name.removeprefix("."), place, json.dumps(value)))
    return fields


def _scores(right: int, expected: int, answered: int) -> Scores:
    return {
        "precision": right / answered if answered else 0.0,
        "recall": right / expected if expected else 0.0,
        "f1": 2 * right / (expected + answered) if expected + answered else 0.0,
        "n": expected,
    }


def label_scores(expected: Sequence[str | None], got: Sequence[str | None]) -> dict[str, Scores]:
    """The scores of each expected label; None is not a label."""
    right = Counter(label for label, answer in zip(expected, got, strict=True) if label == answer)
    targets, answered = Counter(expected), Counter(got)
    labels = sorted(label for label in targets if label is not None)
    return {label: _scores(right[label], targets[label], answered[label]) for label in labels}


def macro_f1(scores: Mapping[str, Scores]) -> float | None:
    """The mean F1 of the labels in the data, each with the same weight; None without labels."""
    return sum(score["f1"] for score in scores.values()) / len(scores) if scores else None


def schema_validity(answers: Sequence[str], schema: Mapping[str, Any] | None) -> list[bool]:
    """Whether each answer is a JSON object or array, and follows the schema if there is one."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema or {})
    return [_follows(structure(answer), validator) for answer in answers]


def _follows(value: Any, validator: Any) -> bool:
    try:
        return value is not None and bool(validator.is_valid(value))
    except RecursionError:
        return False


def schema_problems(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """The most telling violation of a schema; empty if there is none."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(value))
    return [error.message] if error else []


def call_name(answer: str) -> str | None:
    """The tool of a call, JSON with `name` and `arguments`; None for anything else."""
    value = structure(answer)
    name = value.get("name") if isinstance(value, dict) and "arguments" in value else None
    return name if isinstance(name, str) and name else None


def share(correct: Sequence[bool]) -> dict[str, Any]:
    """{"n", "exact_match", "interval"} of outcomes."""
    n, right = len(correct), sum(correct)
    interval = list(wilson_interval(right, n))
    return {"n": n, "exact_match": right / n if n else 0.0, "interval": interval}


def slices_of(example: Example, name: str | None = None, *, by: str = "label") -> dict[str, str]:
    """The slices an example belongs to: its tags, the length of its request, its label or tool."""
    limit = next((limit for limit in _LENGTHS if len(example.text) <= limit), None)
    length = f"up to {limit} characters" if limit else f"over {_LENGTHS[-1]} characters"
    return {**({by: name} if name is not None else {}), "length": length, **example.tags}


def per_slice(
    slices: Sequence[Mapping[str, str]], correct: Sequence[bool]
) -> dict[str, dict[str, dict[str, Any]]]:
    """slice → value → {"n", "exact_match", "interval"}, the largest first; at most 40 values."""
    outcomes: dict[str, dict[str, list[bool]]] = {}
    for values_by_slice, right in zip(slices, correct, strict=True):
        for key, value in values_by_slice.items():
            outcomes.setdefault(key, {}).setdefault(value, []).append(right)
    return {
        key: {
            value: share(values[value])
            for value in sorted(values, key=lambda value: -len(values[value]))[:_MOST_VALUES]
        }
        for key, values in outcomes.items()
    }


def largest_gap(slices: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any] | None:
    """The two values of a slice, of ten examples or more each, whose shares differ most."""
    gaps = []
    for name, values in slices.items():
        shares = {value: each["exact_match"] for value, each in values.items() if each["n"] >= 10}
        if len(shares) > 1:
            best, worst = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
            gap = shares[best] - shares[worst]
            gaps.append({"slice": name, "best": best, "worst": worst, "gap": gap})
    return max(gaps, key=lambda gap: gap["gap"], default=None)
