"""Two JSON schemas combined into one that requires both, and a test for schemas without overlap.

    merge({"type": "integer", "minimum": 1}, {"maximum": 9})
    # {"type": "integer", "minimum": 1, "maximum": 9}

`schema_compiler` uses it for `allOf` and for keywords beside `$ref` or `anyOf`. The caller resolves
`$ref` first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seedbed.structured.grammar import Unsupported

Schema = dict[str, Any]

_ANNOTATIONS = (
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("$comment", "$schema", "$id", "$defs", "definitions", "discriminator"),
)
# Of two limits, the stricter one is the larger (smaller) value.
_LOWER_LIMITS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_LIMITS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_MAX_PAIRS = 64  # branches of one `anyOf` times those of the other
_MAX_LEVELS = 4  # of nested schemas that `disjoint` compares


def merge(a: Any, b: Any) -> Any:
    """A schema whose values satisfy both `a` and `b`; it may be stricter than the two.

    Raises Unsupported where no value satisfies both, or where keywords cannot be combined.

    >>> merge({"type": ["string", "null"]}, {"type": "string", "maxLength": 5})
    {'type': ['string'], 'maxLength': 5}
    """
    if a is False or b is False:
        raise Unsupported("the schema false allows no value")
    if a is True or b is True:
        return b if a is True else a
    a, b = _with_additional(a, b), _with_additional(b, a)
    merged = dict(a)
    for keyword, value in b.items():
        if keyword not in merged or keyword in _ANNOTATIONS:
            merged.setdefault(keyword, value)
        # 1 == True and 0 == False in Python, but not in JSON.
        elif merged[keyword] != value or type(merged[keyword]) is not type(value):
            merged[keyword] = _merge_keyword(keyword, merged[keyword], value)
    _check_satisfiable(merged)
    return merged


def _merge_keyword(keyword: str, a: Any, b: Any) -> Any:
    if keyword in _LOWER_LIMITS:
        return max(a, b)
    if keyword in _UPPER_LIMITS:
        return min(a, b)
    if keyword == "type":
        common = _common_types(a, b)
        if common:
            return common
    if keyword == "required":
        return sorted({*a, *b})
    if keyword == "properties":
        return {name: _merge_or_false(a.get(name, True), b.get(name, True)) for name in {**a, **b}}
    if keyword in ("items", "additionalProperties", "propertyNames"):
        return _merge_or_false(a, b)
    if keyword == "enum":
        common = [value for value in a if value in b]
        if common:
            return common
    if keyword == "uniqueItems":
        return a or b
    if keyword == "allOf":
        return [*a, *b]
    if keyword == "anyOf":
        return _merge_branches(a, b)
    raise Unsupported(f"{keyword!r} cannot be both {a!r} and {b!r}"[:200])


def _common_types(a: Any, b: Any) -> list[str]:
    """The types in both; "integer" is also a "number"."""
    left, right = ([x] if isinstance(x, str) else list(x) for x in (a, b))
    common = [name for name in left if name in right]
    if "integer" not in common and (
        ("integer" in left and "number" in right) or ("number" in left and "integer" in right)
    ):
        common.append("integer")
    return common


def _merge_or_false(a: Any, b: Any) -> Any:
    """The merged schema of a property, or false: a problem only if the property is required."""
    try:
        return merge(a, b)
    except Unsupported:
        return False


def _merge_branches(a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    """Each branch of one `anyOf` merged with each of the other, where that is possible."""
    pairs = []
    for left in a:
        for right in b:
            try:
                pairs.append(merge(left, right))
            except Unsupported:
                continue
    if not pairs:
        raise Unsupported("no branch of one 'anyOf' can be combined with one of the other")
    if len(pairs) > _MAX_PAIRS:
        raise Unsupported(f"two 'anyOf' combine to over {_MAX_PAIRS} branches")
    return pairs


def _with_additional(schema: Mapping[str, Any], other: Mapping[str, Any]) -> Schema:
    """`schema` with its `additionalProperties` written out for the properties of `other`.

    The keyword depends on the `properties` beside it, so it must be applied before they change.
    """
    rule = schema.get("additionalProperties", True)
    names = [*other.get("properties", {}), *other.get("required", ())]
    own = schema.get("properties", {})
    if rule is True or not set(names) - own.keys():
        return dict(schema)
    return {**schema, "properties": {**own, **{name: rule for name in names if name not in own}}}


def _check_satisfiable(merged: Mapping[str, Any]) -> None:
    if "const" in merged and "enum" in merged and merged["const"] not in merged["enum"]:
        raise Unsupported(f"{merged['const']!r} is not one of {merged['enum']!r}"[:200])
    properties = merged.get("properties", {})
    for name in sorted(merged.get("required", ())):
        if properties.get(name) is False:
            raise Unsupported(f"the required property {name!r} cannot have a value")


def disjoint(
    branches: Sequence[Any], resolve: Callable[[Any], Any] = lambda schema: schema
) -> bool:
    """Whether no value can satisfy two of the schemas, so that `oneOf` can be read as `anyOf`.

    Recognizes different types, different constants, and a required property whose schemas are
    disjoint themselves. False where in doubt: two patterns, or two ranges of numbers, may overlap.
    `resolve` replaces a schema that begins with a `$ref`.

    >>> disjoint([{"type": "string"}, {"type": "null"}])
    True
    >>> disjoint([{"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "b$"}])
    False
    """
    return all(
        _exclusive(a, b, resolve, _MAX_LEVELS) for n, a in enumerate(branches) for b in branches[:n]
    )


def _exclusive(a: Any, b: Any, resolve: Callable[[Any], Any], levels: int) -> bool:
    if levels == 0:  # schemas may be recursive
        return False
    a, b = resolve(a), resolve(b)
    if a is False or b is False:
        return True
    if not isinstance(a, dict) or not isinstance(b, dict):
        return False
    # 1. Types and constants.
    if "type" in a and "type" in b and not _common_types(a["type"], b["type"]):
        return True
    left, right = _constants(a), _constants(b)
    if left is not None and right is not None and not any(value in right for value in left):
        return True
    # 2. A combination excludes a schema if its parts do.
    for schema, other in ((a, b), (b, a)):
        for keyword, combine in (("anyOf", all), ("oneOf", all), ("allOf", any)):
            parts = schema.get(keyword, ())
            if parts and combine(_exclusive(part, other, resolve, levels - 1) for part in parts):
                return True
    # 3. A required property, such as the discriminator of a tagged union.
    a, b = _with_additional(a, b), _with_additional(b, a)
    return any(
        _exclusive(
            a.get("properties", {}).get(name, True),
            b.get("properties", {}).get(name, True),
            resolve,
            levels - 1,
        )
        for name in sorted({*a.get("required", ()), *b.get("required", ())})
    )


def _constants(schema: Mapping[str, Any]) -> list[Any] | None:
    """The only values that a schema lists, or None."""
    return [schema["const"]] if "const" in schema else schema.get("enum")
