"""Figures of answers against what was expected: whole, field by field, by label, by slice.

Shares come with their Wilson interval.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from finetune_lora.example import Example
from seedbed.errors import BadInput
from seedbed.runs.evaluation import wilson_interval

Leaf = tuple[str, Any]
Path = tuple[str | int, ...]
_LENGTHS = (40, 80, 160, 320)  # characters, as words are not told apart in every language
_MOST_VALUES = 40  # of one tag: more are an identifier, not a slice


class NoJson(ValueError):
    """The text is not a JSON value."""


def parse(text: str) -> Any:
    """The JSON value of a text. Raises NoJson, also for NaN, Infinity and bottomless nesting."""
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise NoJson(str(error)) from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not valid JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def flatten(value: Any) -> dict[Path, Leaf]:
    """Every leaf of a JSON value by its path, typed: 2 is 2.0, but neither "2" nor true is 1.

    Empty objects and arrays are leaves. Without recursion, as answers can be nested deeply.
    """
    leaves: dict[Path, Leaf] = {}
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, here = waiting.pop()
        if isinstance(here, dict) and here:
            waiting += [((*path, key), item) for key, item in here.items()]
        elif isinstance(here, list) and here:
            waiting += [((*path, i), item) for i, item in enumerate(here)]
        else:
            leaves[path] = _leaf(here)
    return leaves


def _leaf(value: Any) -> Leaf:
    if isinstance(value, (dict, list)):
        return type(value).__name__, None
    if isinstance(value, bool) or value is None:
        return "constant", value
    return ("text" if isinstance(value, str) else "number"), value


def exact_match(expected: str, got: str) -> bool:
    """Whether an answer is right as a whole.

    JSON is compared as values: the order of keys and white space do not count. Anything else is
    compared as text, without white space at its ends.
    """
    try:
        value = parse(expected)
    except NoJson:
        return expected.strip() == got.strip()
    try:
        return flatten(value) == flatten(parse(got))
    except NoJson:
        return False


def field_scores(
    expected: Sequence[str], got: Sequence[str]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """(micro over all fields, per field) of answers that are JSON: precision, recall, f1 and n.

    A field is the path of a leaf, `arguments.user`; items of an array share one, `tags[]`. A wrong
    value is one false positive and one false negative, as in slot filling. Examples whose expected
    answer is not a JSON object or array are left out; an answer that is not JSON has no fields.
    """
    right, targets, answered = Counter[str](), Counter[str](), Counter[str]()
    for example, answer in zip(expected, got, strict=True):
        if is_structured(example):
            a, b = _fields(example), _fields(answer)
            right.update(name for name, _ in a & b)
            targets.update(name for name, _ in a)
            answered.update(name for name, _ in b)
    micro = _scores(right.total(), targets.total(), answered.total())
    names = sorted({*targets, *answered})
    return micro, {name: _scores(right[name], targets[name], answered[name]) for name in names}


def _scores(right: int, expected: int, answered: int) -> dict[str, float]:
    return {
        "precision": right / answered if answered else 0.0,
        "recall": right / expected if expected else 0.0,
        "f1": 2 * right / (expected + answered) if expected + answered else 0.0,
        "n": expected,
    }


def is_structured(answer: str) -> bool:
    """Whether it is a JSON object or array."""
    try:
        return isinstance(parse(answer), (dict, list))
    except NoJson:
        return False


def _fields(answer: str) -> set[tuple[str, Any]]:
    if not is_structured(answer):
        return set()
    leaves = flatten(parse(answer)).items()
    return {(_name(p), (p, leaf)) for p, leaf in leaves if leaf[0] not in ("dict", "list")}


def _name(path: Path) -> str:
    steps = ("[]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def schema_validity(answers: Sequence[str], schema: Mapping[str, Any] | None) -> list[bool]:
    """Whether each answer is JSON and follows the schema; without one, an object or an array.

    Raises BadInput for an invalid schema.
    """
    if schema is None:
        return [is_structured(answer) for answer in answers]
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for

    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(dict(schema))
    except SchemaError as error:
        raise BadInput(f"Invalid JSON schema: {error.message[:200]}.") from None
    validator = kind(schema)
    return [_follows(answer, validator) for answer in answers]


def _follows(answer: str, validator: Any) -> bool:
    try:
        return bool(validator.is_valid(parse(answer)))
    except (NoJson, RecursionError):
        return False


def schema_problems(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """The violations of a schema; of a schema with branches, those of the most similar branch."""
    from jsonschema.exceptions import relevance
    from jsonschema.validators import Draft202012Validator

    problems = []
    for error in Draft202012Validator(schema).iter_errors(value):
        branches: dict[Any, list[Any]] = {}
        for inner in error.context or ():
            branches.setdefault(inner.schema_path[0], []).append(inner)
        # The branch that violates fewest rules, e.g. that of the named tool.
        closest = min(branches.values(), key=len, default=[error])
        problems.append(max(closest, key=relevance).message)
    return problems


def call_name(answer: str) -> str | None:
    """The tool that a call names; None for anything else."""
    try:
        value = parse(answer)
    except NoJson:
        return None
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) and name else None


def label_scores(expected: Sequence[str], got: Sequence[str | None]) -> dict[str, dict[str, float]]:
    """precision, recall, f1 and n of each expected label; an answer None is not a label."""
    from sklearn.metrics import precision_recall_fscore_support

    if not expected:
        return {}
    labels = sorted(set(expected))
    index = {label: i for i, label in enumerate(labels)}  # scikit-learn compares numbers faster
    figures = precision_recall_fscore_support(
        [index[label] for label in expected],
        [index.get(label, -1) if label is not None else -1 for label in got],
        labels=range(len(labels)),
        zero_division=0,
    )
    return {
        label: {"precision": float(p), "recall": float(r), "f1": float(f1), "n": int(n)}
        for label, p, r, f1, n in zip(labels, *figures, strict=True)
    }


def macro_f1(scores: Mapping[str, Mapping[str, float]]) -> float:
    """The mean F1 of the labels in the data, each with the same weight."""
    return sum(score["f1"] for score in scores.values()) / len(scores) if scores else 0.0


def share(correct: Sequence[bool]) -> dict[str, Any]:
    """{"n", "exact_match", "interval"} of outcomes."""
    n, right = len(correct), sum(correct)
    return {
        "n": n,
        "exact_match": right / n if n else 0.0,
        "interval": list(wilson_interval(right, n)),
    }


def slices_of(example: Example, name: str | None = None, *, by: str = "label") -> dict[str, str]:
    """The slices an example belongs to: its tags, the length of its request, what it names."""
    n = len(example.text)
    upper = next((limit for limit in _LENGTHS if n <= limit), None)
    lower = max((limit + 1 for limit in _LENGTHS if limit < n), default=0)
    length = f"{lower} to {upper} characters" if upper else f"over {_LENGTHS[-1]} characters"
    return {**({by: name} if name is not None else {}), "length": length, **example.tags}


def per_slice(
    slices: Sequence[Mapping[str, str]], correct: Sequence[bool]
) -> dict[str, dict[str, dict[str, Any]]]:
    """slice → value → {"n", "exact_match", "interval"}, by name; of a slice the 40 largest."""
    outcomes: dict[str, dict[str, list[bool]]] = {}
    for of, right in zip(slices, correct, strict=True):
        for key, value in of.items():
            outcomes.setdefault(key, {}).setdefault(value, []).append(right)
    largest = {
        key: sorted(values, key=lambda value: -len(values[value]))[:_MOST_VALUES]
        for key, values in outcomes.items()
    }
    return {
        key: {value: share(outcomes[key][value]) for value in sorted(values, key=_natural)}
        for key, values in largest.items()
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


def _natural(value: str) -> list[str | int]:
    """Sorts 41 before 161. Nine digits at a time, as Python refuses to read endless ones."""
    return [int(p) if p.isdecimal() else p for p in re.split(r"([0-9]{1,9})", value)]
