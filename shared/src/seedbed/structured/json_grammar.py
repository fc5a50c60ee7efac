"""The grammar of a JSON schema: every text that it matches is valid, not every valid text matches.

Declared properties come in their order, others only where none is declared; patterns keep to
ASCII. `Refused` says what cannot be guaranteed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from seedbed.structured.grammar import Lit, Node, Rep, TooLong, alt, one_of, optional, seq
from seedbed.structured.merging import Contradiction, disjoint, merge
from seedbed.structured.regular import (
    CHARACTER,
    FORMATS,
    PLAIN,
    NotRegular,
    any_number,
    bounds,
    integers,
    multiples,
    numbers,
    pattern,
)

_MOST_EXCLUSIVE = 200
_MANY = 50  # values; more are written as a tree
MAX_DEPTH = 3  # how often a recursive $ref is followed inside itself
_UNSUPPORTED = (
    *("not", "if", "then", "else", "contains", "dependencies", "dependentRequired"),
    *("dependentSchemas", "patternProperties", "$dynamicRef", "$recursiveRef"),
)
_OF_TYPE = {
    "object": {"properties", "required", "minProperties", "maxProperties", "additionalProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}
_TYPES = ("object", "array", "string", "number", "boolean", "null")


class Refused(ValueError):
    """This part of a schema cannot be guaranteed; another branch of it may still be."""


Depth = Mapping[str, int]  # how often each $ref was followed on the way
FAILURES = (Refused, Contradiction, NotRegular, TooLong)


def schema_node(schema: dict[str, Any]) -> Node:
    """The grammar of a whole schema. Raises one of FAILURES."""
    return _Compiler(schema).node(schema, {})


class _Compiler:
    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self.shared: dict[Any, Node] = {}

    def node(self, schema: Any, depth: Depth) -> Node:
        if schema is False:
            raise Refused("nothing satisfies the schema false")
        if schema is True:
            schema = {}
        for keyword in _UNSUPPORTED:
            if keyword in schema and not (keyword == "patternProperties" and not schema[keyword]):
                raise Refused(f"{keyword!r} is not supported")
        if "$ref" in schema:
            return self._reference(schema, depth)
        if schema.get("allOf"):
            rest = {k: v for k, v in schema.items() if k != "allOf"}
            for part in schema["allOf"]:
                part, depth = self._inlined(part, depth)
                rest = merge(rest, part)
            return self.node(rest, depth)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._branches(schema, keyword, depth)
        if "enum" in schema or "const" in schema:
            return self._values(schema)
        return self._typed(schema, depth)

    def _reference(self, schema: dict[str, Any], depth: Depth) -> Node:
        schema, depth = self._inlined(schema, depth)
        key = (json.dumps(schema, sort_keys=True), *sorted(depth.items()))
        if key not in self.shared:
            self.shared[key] = self.node(schema, depth)
        return self.shared[key]

    def _target(self, ref: str) -> Any:
        if not ref.startswith("#") or (ref != "#" and not ref.startswith("#/")):
            raise Refused(f"$ref {ref!r} does not point into the schema itself")
        target: Any = self.root
        try:
            for part in ref.split("/")[1:]:
                name = part.replace("~1", "/").replace("~0", "~")
                target = target[int(name)] if isinstance(target, list) else target[name]
        except (KeyError, IndexError, ValueError, TypeError):
            raise Refused(f"$ref {ref!r} points to nothing") from None
        return target

    def _inlined(self, schema: Any, depth: Depth) -> tuple[Any, Depth]:
        """A schema that does not begin with a $ref, so that it can be merged with others."""
        while isinstance(schema, dict) and "$ref" in schema:
            ref = schema["$ref"]
            if depth.get(ref, 0) >= MAX_DEPTH or sum(depth.values()) > 4 * MAX_DEPTH:
                raise Refused(f"{ref} contains itself without an end")
            depth = {**depth, ref: depth.get(ref, 0) + 1}
            rest = {k: v for k, v in schema.items() if k != "$ref"}
            schema = merge(rest, self._target(ref))
        return schema, depth

    def _branches(self, schema: dict[str, Any], keyword: str, depth: Depth) -> Node:
        rest = {k: v for k, v in schema.items() if k != keyword}
        branches = schema[keyword]
        if keyword == "oneOf" and len(branches) > _MOST_EXCLUSIVE:  # each is compared with each
            raise Refused(f"'oneOf' has over {_MOST_EXCLUSIVE} branches")
        if keyword == "oneOf" and not disjoint([self._inlined(b, depth)[0] for b in branches]):
            raise Refused("'oneOf' is only supported for branches that exclude each other")
        options, reason = [], f"{keyword!r} has no branch"
        for branch in branches:
            try:
                plain, deeper = self._inlined(branch, depth)
                options.append(self.node(merge(rest, plain), deeper))
            except FAILURES as error:
                reason = str(error)
        if not options:
            raise Refused(reason)
        texts = [option.text for option in options if isinstance(option, Lit)]
        return one_of(texts) if len(texts) == len(options) > _MANY else alt(options)

    def _values(self, schema: dict[str, Any]) -> Node:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if "const" in schema and "enum" in schema:
            values = [value for value in values if fits(value, {"enum": schema["enum"]})]
        # Without the enum itself: each value would be looked for among all of them.
        rest = {k: v for k, v in schema.items() if k not in ("enum", "const")}
        validator = validator_of({**rest, "$defs": self.root.get("$defs", {})})
        fitting = [text_of(value) for value in values if validator.is_valid(value)]
        if not fitting:
            raise Refused(f"none of the values {values!r:.160} is allowed")
        if len(fitting) > _MANY:
            return one_of(fitting)
        return alt([Lit(text) for text in fitting])

    def _typed(self, schema: dict[str, Any], depth: Depth) -> Node:
        types = schema.get("type") or [t for t in _TYPES if _OF_TYPE.get(t, set()) & schema.keys()]
        types = [types] if isinstance(types, str) else types or list(_TYPES)
        if "number" in types:
            types = [t for t in types if t != "integer"]
        options, reason = [], "nothing satisfies it"
        for name in types:
            try:
                options.append(getattr(self, f"_{name}")(schema, depth))
            except FAILURES as error:
                reason = f"{name}: {error}"
        if not options:
            raise Refused(reason)
        return alt(options)

    def _null(self, *_: Any) -> Node:
        return Lit("null")

    def _boolean(self, *_: Any) -> Node:
        return alt([Lit("true"), Lit("false")])

    def _string(self, schema: dict[str, Any], _: Any) -> Node:
        low, high = int(schema.get("minLength", 0)), schema.get("maxLength")
        high = None if high is None else int(high)
        if high is not None and high < low:
            raise Refused("minLength is above maxLength")
        known = FORMATS.get(schema.get("format", ""))
        if known and "pattern" in schema:
            raise Refused("'pattern' together with 'format' is not supported")
        source = schema.get("pattern", known)
        inside = Rep(CHARACTER, low, high) if source is None else pattern(source, low, high)
        return seq('"', inside, '"')

    def _integer(self, schema: dict[str, Any], _: Any) -> Node:
        low, high, open_low, open_high = bounds(schema)
        first = None if low is None else -(-low // 1) + (1 if open_low and low % 1 == 0 else 0)
        last = None if high is None else high // 1 - (1 if open_high and high % 1 == 0 else 0)
        step = Fraction(str(schema.get("multipleOf", 1)))
        if (1 / step).denominator == 1:
            return integers(
                None if first is None else int(first), None if last is None else int(last)
            )
        return multiples(step, first, last)

    def _number(self, schema: dict[str, Any], depth: Any) -> Node:
        if "multipleOf" in schema:
            return self._integer(schema, depth)
        low, high, open_low, open_high = bounds(schema)
        if low is None and high is None:
            return any_number()
        return numbers(low, high, open_low, open_high)

    def _array(self, schema: dict[str, Any], depth: Depth) -> Node:
        low, high = int(schema.get("minItems", 0)), schema.get("maxItems")
        prefix = schema.get("prefixItems", [])
        items: Node | None = None
        try:
            items = self.node(schema.get("items", True), self._deeper(schema, "items", depth))
        except FAILURES:
            if low > len(prefix):
                raise
        most = len(prefix) if items is None else None
        high = most if high is None else int(high) if most is None else min(int(high), most)
        if high is not None and high < low:
            raise Refused("minItems is above what the array may hold")
        if schema.get("uniqueItems") and low > 1:
            return self._distinct(schema, low, high)
        first = [self.node(part, depth) for part in prefix[:high]]
        if first:
            head = seq(
                *[x for n, part in enumerate(first) for x in ((", ", part) if n else (part,))]
            )
            if items is None or (high is not None and high <= len(first)):
                return seq("[", head, "]")
            more = None if high is None else high - len(first)
            return seq("[", head, Rep(seq(", ", items), max(0, low - len(first)), more), "]")
        if items is None or high == 0:
            return Lit("[]")
        tail = Rep(seq(", ", items), max(0, low - 1), None if high is None else high - 1)
        return seq("[", seq(items, tail) if low else optional(items, tail), "]")

    def _distinct(self, schema: dict[str, Any], low: int, high: int | None) -> Node:
        """Different values in a fixed order; only where the schema lists them."""
        item, _ = self._inlined(schema.get("items", True), {})
        values = item.get("enum", []) if isinstance(item, dict) else []
        values = [v for n, v in enumerate(values) if fits(v, item) and v not in values[:n]]
        if len(values) < low or schema.get("prefixItems"):
            raise Refused("'uniqueItems' with 'minItems' above 1 needs items with an enum")
        chosen = values[: low if high is None else min(low, high)]
        return Lit("[" + ", ".join(text_of(value) for value in chosen) + "]")

    def _object(self, schema: dict[str, Any], depth: Depth) -> Node:
        properties: dict[str, Any] = dict(schema.get("properties", {}))
        others = schema.get("additionalProperties", True)
        required = set(schema.get("required", ()))
        for name in sorted(required - properties.keys()):
            properties[name] = others
        low, high = int(schema.get("minProperties", 0)), schema.get("maxProperties")
        # `"properties": {}` alone means a call without arguments, not one with any.
        declared = "properties" in schema and "additionalProperties" not in schema and not low
        if not properties and not declared and others is not False and high != 0:
            return self._mapping(schema, others, low, high, depth)
        members: list[tuple[Node, bool]] = []
        for name, part in properties.items():
            if "propertyNames" in schema and not fits(name, schema["propertyNames"]):
                if name in required:
                    raise Refused(f"{name!r} is required, but not allowed as a name")
                continue
            try:
                value = self.node(part, depth)
            except FAILURES:
                if name in required:
                    raise
                continue  # an optional property that cannot be guaranteed is never there
            members.append((seq(f"{text_of(name)}: ", value), name in required))
        return _members(members, low, None if high is None else int(high))

    def _mapping(
        self, schema: dict[str, Any], value: Any, low: int, high: Any, depth: Depth
    ) -> Node:
        """An object whose names the model chooses."""
        names = schema.get("propertyNames", {})
        if low > 1:
            raise Refused("'minProperties' above 1 needs declared properties")
        name = seq('"', Rep(PLAIN, 1, 40), '"')
        if isinstance(names, dict) and names:
            names, deeper = self._inlined(names, depth)
            name = self.node(merge({"type": "string"}, names), deeper)
        try:
            member = seq(name, ": ", self.node(value, self._deeper(schema, "properties", depth)))
        except FAILURES:
            if low:
                raise
            return Lit("{}")
        tail = Rep(seq(", ", member), 0, None if high is None else int(high) - 1)
        return seq("{", seq(member, tail) if low else optional(member, tail), "}")

    @staticmethod
    def _deeper(schema: Mapping[str, Any], keyword: str, depth: Depth) -> Any:
        """Values of any kind end too: each level counts like a $ref."""
        if schema.get(keyword) or (keyword == "properties" and schema.get("additionalProperties")):
            return depth
        if depth.get("*", 0) >= 2:
            raise Refused("values of any kind are nested too deep")
        return {**depth, "*": depth.get("*", 0) + 1}


def _members(members: Sequence[tuple[Node, bool]], low: int, high: int | None) -> Node:
    """The members of an object in their order, at least `low` and at most `high` of them."""
    needed = sum(required for _, required in members)
    if needed > (len(members) if high is None else high) or len(members) < low:
        raise Refused("the number of properties cannot be right")
    if low or high is not None:  # then the count is fixed: as many optional ones as it takes
        missing = max(0, low - needed)
        chosen = []
        for node, required in members:
            if required or missing > 0:
                chosen.append((node, True))
                missing -= not required
        members = chosen
    if not members:
        return Lit("{}")
    after: Node = Lit("")
    first: Node | None = None  # what may stand at the beginning: no comma before it
    for node, required in reversed(members):
        start = seq(node, after)
        first = start if required else alt([start, first or Lit("")])
        rest = seq(", ", node) if required else optional(", ", node)
        after = seq(rest, after)
    assert first is not None
    return seq("{", first, "}")


def fits(value: Any, schema: Any) -> bool:
    return bool(validator_of(schema).is_valid(value))


def validator_of(schema: Any) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema)


def text_of(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(value)
    return text
