"""Figures of answers against what was expected: whole, field by field, by label, by slice.

It knows texts and numbers, neither models nor files. Shares come with their Wilson interval.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune_lora.example import Example
from seedbed.errors import BadInput
from seedbed.runs.evaluation import wilson_interval

INVALID = "invalid"
"""The column of answers that name nothing."""
UNSEEN = "unseen"
"""The column of answers that name what neither the data nor the training knows."""

Leaf = tuple[str, Any]
Path = tuple[str | int, ...]
_LENGTHS = (40, 80, 160, 320)  # characters, as words are not told apart in every language
_MOST_VALUES = 40  # of one tag: more are an identifier, not a slice


class NoJson(ValueError):
    """The text is no JSON value."""


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


@dataclass(frozen=True)
class Counts:
    """True positives, false positives and false negatives, and what follows from them."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 0.0

    @property
    def f1(self) -> float:
        both = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / both if both else 0.0

    def as_json(self) -> dict[str, float]:
        """precision, recall, f1 and n, how many were expected."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "n": self.tp + self.fn,
        }


def _counted(
    pairs: Iterable[tuple[set[tuple[str, Any]], set[tuple[str, Any]]]],
) -> dict[str, Counts]:
    """Counts by name over pairs of (expected, got), each a set of (name, identity)."""
    tp: Counter[str] = Counter()
    fp: Counter[str] = Counter()
    fn: Counter[str] = Counter()
    for expected, got in pairs:
        tp.update(name for name, _ in expected & got)
        fp.update(name for name, _ in got - expected)
        fn.update(name for name, _ in expected - got)
    return {name: Counts(tp[name], fp[name], fn[name]) for name in sorted({*tp, *fp, *fn})}


def field_scores(expected: Sequence[str], got: Sequence[str]) -> tuple[Counts, dict[str, Counts]]:
    """(micro over all fields, per field) of answers that are JSON objects or arrays.

    A field is the path of a leaf, `arguments.user`; items of an array share one, `tags[]`. A wrong
    value is one false positive and one false negative, as in slot filling. Examples whose expected
    answer is no JSON object or array are left out; an answer that is no JSON has no fields.
    """
    pairs = [
        (_fields(e), _fields(g)) for e, g in zip(expected, got, strict=True) if is_structured(e)
    ]
    fields = _counted(pairs)
    total = Counts(*(sum(getattr(c, k) for c in fields.values()) for k in ("tp", "fp", "fn")))
    return total, fields


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

    Raises BadInput for a schema that is none.
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


def call_name(answer: str) -> str | None:
    """The tool that a call names; None for anything that is no call."""
    try:
        value = parse(answer)
    except NoJson:
        return None
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) and name else None


def label_scores(expected: Sequence[str], got: Sequence[str | None]) -> dict[str, Counts]:
    """Counts of each label that is expected at least once; None is no label."""
    pairs = (
        ({(e, None)}, {(g, None)} if g is not None else set())
        for e, g in zip(expected, got, strict=True)
    )
    counts = _counted(pairs)
    return {label: counts[label] for label in sorted(set(expected))}


def macro_f1(scores: Mapping[str, Counts]) -> float:
    """The mean F1 of the labels that the data has, each counting the same."""
    return sum(c.f1 for c in scores.values()) / len(scores) if scores else 0.0


def probabilities(scores: Mapping[str, float]) -> dict[str, float] | None:
    """Scores as probabilities that sum to 1; None if they are not finite or there are none.

    Scores of which one is negative, or all are 0, are logarithms: their softmax is taken.
    """
    values = list(scores.values())
    if not values or not all(math.isfinite(v) for v in values):
        return None
    if min(values) < 0 or not any(values):
        top = max(values)
        values = [math.exp(v - top) for v in values]
    total = math.fsum(values)
    return {label: v / total for label, v in zip(scores, values, strict=True)}


def calibration_error(
    confidence: Sequence[float], correct: Sequence[bool], bins: int = 10
) -> float:
    """Expected calibration error: |accuracy - mean confidence| over equal bins, weighted by size.

    Guo et al., 2017; https://arxiv.org/abs/1706.04599.
    """
    if not confidence:
        return 0.0
    held: dict[int, list[tuple[float, bool]]] = {}
    for c, right in zip(confidence, correct, strict=True):
        held.setdefault(min(bins - 1, int(c * bins)), []).append((c, right))
    off = (abs(sum(r for _, r in h) - math.fsum(c for c, _ in h)) for h in held.values())
    return math.fsum(off) / len(confidence)


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
    found: dict[str, dict[str, list[bool]]] = {}
    for of, right in zip(slices, correct, strict=True):
        for key, value in of.items():
            found.setdefault(key, {}).setdefault(value, []).append(right)
    largest = {
        key: sorted(values, key=lambda value: -len(values[value]))[:_MOST_VALUES]
        for key, values in found.items()
    }
    return {
        key: {value: share(found[key][value]) for value in sorted(values, key=_natural)}
        for key, values in largest.items()
    }


def _natural(value: str) -> list[str | int]:
    """Sorts 41 before 161. Nine digits at a time, as Python refuses to read endless ones."""
    return [int(p) if p.isdecimal() else p for p in re.split(r"([0-9]{1,9})", value)]


def confusion(
    expected: Sequence[str], got: Sequence[str | None], known: Iterable[str] = ()
) -> dict[str, Any]:
    """{"rows": names expected, "columns": names answered, "counts": [row][column]}.

    Columns are the rows, then names that only the training knows, `unseen` and `invalid` (got is
    None), these only where they occur.
    """
    rows = sorted(set(expected))
    named = {name for name in got if name is not None}
    extra = sorted(named & set(known) - set(rows))
    strange = named - {*rows, *extra}
    columns = rows + extra + [UNSEEN] * bool(strange) + [INVALID] * (None in got)
    place = {name: i for i, name in reversed(list(enumerate(columns)))}
    counts = [[0] * len(columns) for _ in rows]
    index = {name: i for i, name in enumerate(rows)}
    for e, g in zip(expected, got, strict=True):
        if g is None:
            column = len(columns) - 1
        elif g in strange:
            column = len(rows) + len(extra)
        else:
            column = place[g]
        counts[index[e]][column] += 1
    return {"rows": rows, "columns": columns, "counts": counts}
