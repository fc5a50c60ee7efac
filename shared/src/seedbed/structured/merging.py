"""Two JSON schemas as one that asks for both: how `allOf`, and what stands beside a `$ref` or an
`anyOf`, is understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Schema = dict[str, Any]

_ANNOTATIONS = (
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("$comment", "$schema", "$id", "$defs", "definitions", "discriminator"),
)
_LARGER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SMALLER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


class Contradiction(ValueError):
    """Nothing can satisfy both, or how to ask for both at once is not known."""


def merge(a: Any, b: Any) -> Any:
    """A schema that is satisfied by what satisfies `a` and `b`. Raises Contradiction."""
    if a is False or b is False:
        raise Contradiction("a part of it allows nothing")
    if a is True or b is True:
        return b if a is True else a
    a, b = _closed(a, b), _closed(b, a)
    merged = dict(a)
    for keyword, value in b.items():
        if keyword not in merged or keyword in _ANNOTATIONS:
            merged.setdefault(keyword, value)
        elif merged[keyword] != value or type(merged[keyword]) is not type(value):
            merged[keyword] = _both(keyword, merged[keyword], value)
    _check_values(merged)
    return merged


def _both(keyword: str, a: Any, b: Any) -> Any:
    if keyword in _LARGER:
        return max(a, b)
    if keyword in _SMALLER:
        return min(a, b)
    if keyword == "type":
        return _common_types(a, b)
    if keyword == "required":
        return sorted({*a, *b})
    if keyword == "properties":
        return {name: _property(a.get(name, True), b.get(name, True)) for name in {**a, **b}}
    if keyword in ("items", "additionalProperties", "propertyNames"):
        return _property(a, b)
    if keyword == "enum":
        common = [value for value in a if value in b]
        if common:
            return common
    if keyword == "uniqueItems":
        return a or b
    if keyword == "allOf":
        return [*a, *b]
    if keyword == "anyOf":
        return _pairs(a, b)
    raise Contradiction(f"{keyword!r} is asked for as {a!r} and as {b!r}"[:200])


def _common_types(a: Any, b: Any) -> list[str]:
    left, right = ([x] if isinstance(x, str) else list(x) for x in (a, b))
    common = [name for name in left if name in right]
    if "integer" not in common and (
        ("integer" in left and "number" in right) or ("number" in left and "integer" in right)
    ):
        common.append("integer")
    if not common:
        raise Contradiction(f"no type is both {a!r} and {b!r}")
    return common


def _property(a: Any, b: Any) -> Any:
    try:
        return merge(a, b)
    except Contradiction:
        return False  # fine, as long as it is not required


def _pairs(a: list[Any], b: list[Any]) -> list[Any]:
    pairs = []
    for left in a:
        for right in b:
            try:
                pairs.append(merge(left, right))
            except Contradiction:
                continue
    if not pairs or len(pairs) > 64:
        raise Contradiction("'anyOf' twice leaves no branch, or too many")
    return pairs


def _closed(schema: Mapping[str, Any], other: Mapping[str, Any]) -> Schema:
    """`schema` with its rule for additional properties spelled out for those of `other`."""
    rule = schema.get("additionalProperties", True)
    names = [*other.get("properties", {}), *other.get("required", ())]
    own = schema.get("properties", {})
    if rule is True or not set(names) - own.keys():
        return dict(schema)
    return {**schema, "properties": {**own, **{n: rule for n in names if n not in own}}}


def _check_values(merged: Schema) -> None:
    if "const" in merged and "enum" in merged and merged["const"] not in merged["enum"]:
        raise Contradiction(f"{merged['const']!r} is not among {merged['enum']!r}"[:200])
    required = set(merged.get("required", ()))
    properties = merged.get("properties", {})
    impossible = sorted(name for name in required if properties.get(name) is False)
    if impossible:
        raise Contradiction(f"{impossible[0]!r} is required and cannot be there")


def disjoint(branches: Sequence[Any]) -> bool:
    """Whether no value can satisfy two of them: their types differ, or a required constant."""

    def excludes(a: Any, b: Any) -> bool:
        if a is False or b is False:
            return True
        if not isinstance(a, dict) or not isinstance(b, dict):
            return False
        try:
            both = merge(a, b)
        except Contradiction:
            return True
        names = set(both.get("required", ())) & both.get("properties", {}).keys()
        return any(both["properties"][name] is False for name in names)

    return all(excludes(a, b) for n, a in enumerate(branches) for b in branches[:n])
