"""Two JSON schemas combined into one that requires both, and a test for `oneOf`.

    merge({"type": "integer", "minimum": 1}, {"maximum": 9})
    # {"type": "integer", "minimum": 1, "maximum": 9}

`schema_compiler` uses it for `allOf` and for keywords beside `$ref` or `anyOf`. The caller resolves
`$ref` first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
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


def merge(a: Any, b: Any) -> Any:
    """A schema whose values satisfy both `a` and `b`; it may be stricter than the two.

    Raises Unsupported where keywords cannot be combined.

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
    if keyword in ("items", "additionalProperties"):
        return _merge_or_false(a, b)
    if keyword == "enum":
        common = [value for value in a if value in b]
        if common:
            return common
    if keyword == "uniqueItems":
        return a or b
    if keyword == "allOf":
        return [*a, *b]
    raise Unsupported(f"{keyword!r} cannot be both {a!r} and {b!r}"[:200])


def _common_types(a: Any, b: Any) -> list[str]:
    """The types in both; "integer" is also a "number"."""
    left, right = _as_list(a), _as_list(b)
    common = [name for name in left if name in right]
    if "integer" not in common and (
        ("integer" in left and "number" in right) or ("number" in left and "integer" in right)
    ):
        common.append("integer")
    return common


def _as_list(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _merge_or_false(a: Any, b: Any) -> Any:
    """The merged schema of a property, or false: a problem only if the property is required."""
    try:
        return merge(a, b)
    except Unsupported:
        return False


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


def exclusive(branches: Sequence[Any]) -> bool:
    """Whether no value satisfies two of the schemas, so that `oneOf` can be read as `anyOf`.

    Recognizes different types, and a required property with different texts: the tag of a union.
    The caller resolves each leading `$ref` first.

    >>> exclusive([{"type": "string"}, {"type": "null"}])
    True
    >>> tag = {"required": ["kind"], "properties": {"kind": {"const": "cat"}}}
    >>> exclusive([tag, {**tag, "properties": {"kind": {"enum": ["dog", "puppy"]}}}])
    True
    """
    if not all(isinstance(branch, dict) for branch in branches):
        return False
    types = [_as_list(branch.get("type", [])) for branch in branches]
    types = [["number" if name == "integer" else name for name in names] for names in types]
    tags = set.intersection(*(set(branch.get("required", [])) for branch in branches))
    values = [[_texts(branch, name) for branch in branches] for name in sorted(tags)]
    return any(
        all(parts) and len(set(chain(*parts))) == len(list(chain(*parts)))
        for parts in (types, *values)
    )


def _texts(schema: Schema, name: str) -> list[str]:
    """The texts that a schema lists for a property; none if it allows others too."""
    part = schema.get("properties", {}).get(name)
    part = part if isinstance(part, dict) else {}
    values = [part["const"]] if "const" in part else part.get("enum", [])
    return values if all(isinstance(value, str) for value in values) else []
