"""Compiles a JSON schema to a grammar whose every text is valid against the schema.

    schema = {"type": "array", "items": {"type": "integer"}, "maxItems": 3}
    node = SchemaCompiler(schema).compile(schema)
    Grammar(node).matches("[1, 20, 3]")  # True

The grammar matches a subset of the valid texts, with one layout (`, ` and `: ` as separators):
declared properties come in their declared order, and undeclared ones only where none is declared.
Raises Unsupported, with the keyword, for what is not guaranteed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import ceil, floor
from types import MappingProxyType
from typing import Any

from seedbed.structured.grammar import (
    MAX_STATES,
    Chars,
    Lit,
    Node,
    Rep,
    Unsupported,
    alt,
    optional,
    seq,
)
from seedbed.structured.regex import CHARACTER, PLAIN, compile_pattern
from seedbed.structured.validator import Schema, validator_for

_MAX_NAME = 40  # characters of a property name that the model chooses …
_MAX_NAMES = 16  # … and such properties: a small model adds them until the token limit
_NAME_START = Chars(((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A), (0xC0, 0xD7FF)))
_MAX_FREE_LEVELS = 2  # of nesting inside values without a schema
MAX_DEPTH = 3  # how often a recursive `$ref` is followed inside itself
_ANNOTATIONS = {
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("$comment", "$schema", "$id", "$defs", "definitions", "discriminator"),
}
_LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_KEYWORDS_OF_TYPE = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern"},
    "number": _LIMITS,
}
_SUPPORTED = _ANNOTATIONS.union(
    {"type", "enum", "const", "$ref", "anyOf", "oneOf"}, *_KEYWORDS_OF_TYPE.values()
)
_TYPES = ("object", "array", "string", "number", "boolean", "null")
DIGIT = Chars(((0x30, 0x39),))
MAX = 10**15 - 1  # of 15 digits, which a double represents exactly

Depth = Mapping[str, int]
"""How often each `$ref` was followed to get here; "*" counts the levels without a schema."""


class SchemaCompiler:
    """Compiles the parts of one root schema (draft 2020-12, already checked against its
    meta-schema); equal parts behind a `$ref` are shared."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self.shared: dict[Any, Node] = {}

    def compile(self, schema: Any, depth: Depth = MappingProxyType({})) -> Node:
        """The grammar of a schema, which may be the root; raises Unsupported."""
        if schema is False:
            raise Unsupported("the schema false allows no value")
        if schema is True:
            schema = {}
        # 1. Refuse what no grammar here can guarantee.
        if unknown := sorted(schema.keys() - _SUPPORTED):
            raise Unsupported(f"{unknown[0]!r} is not supported")
        # 2. Follow a reference, or compile each branch; only annotations may be beside them.
        for keyword in ("$ref", "anyOf", "oneOf"):
            if keyword in schema:
                if beside := sorted(schema.keys() - _ANNOTATIONS - {keyword}):
                    raise Unsupported(f"{beside[0]!r} beside {keyword!r} is not supported")
                if keyword == "$ref":
                    return self._compile_ref(schema["$ref"], depth)
                return self._compile_branches(schema, keyword, depth)
        # 3. What is left is a list of values, or one or more types with their limits.
        if "enum" in schema or "const" in schema:
            return self._compile_values(schema)
        return self._compile_types(schema, depth)

    # ── references and branches ─────────────────────────────────────────────────────────────

    def _compile_ref(self, ref: str, depth: Depth) -> Node:
        if depth.get(ref, 0) >= MAX_DEPTH or sum(depth.values()) > 4 * MAX_DEPTH:
            raise Unsupported(f"{ref} is nested in itself more than {MAX_DEPTH} times")
        depth = {**depth, ref: depth.get(ref, 0) + 1}
        key = (ref, *sorted(depth.items()))
        if key not in self.shared:
            self.shared[key] = self.compile(self._target(ref), depth)
        return self.shared[key]

    def _target(self, ref: str) -> Any:
        """What a JSON pointer such as `#/$defs/Name` points to (RFC 6901)."""
        if not ref.startswith("#") or (ref != "#" and not ref.startswith("#/")):
            raise Unsupported(f"$ref {ref!r} does not point into the schema itself")
        target: Any = self.root
        try:
            for part in ref.split("/")[1:]:
                name = part.replace("~1", "/").replace("~0", "~")
                target = target[int(name)] if isinstance(target, list) else target[name]
        except (KeyError, IndexError, ValueError, TypeError):
            raise Unsupported(f"$ref {ref!r} does not exist in the schema") from None
        return target

    def _compile_branches(self, schema: Schema, keyword: str, depth: Depth) -> Node:
        """`anyOf` or `oneOf`: the branches that can be guaranteed, at least one."""
        if keyword == "oneOf" and not self._is_tagged(schema):
            raise Unsupported("'oneOf' is only supported with pydantic's 'discriminator'")
        options, reason = [], f"{keyword!r} is empty"
        for branch in schema[keyword]:
            try:
                options.append(self.compile(branch, depth))
            except Unsupported as error:
                reason = str(error)
        if not options:
            raise Unsupported(reason)
        return alt(options)

    def _is_tagged(self, schema: Schema) -> bool:
        """Whether each branch of `oneOf` requires a different value of the tag, so that no value
        satisfies two of them."""
        discriminator = schema.get("discriminator")
        name = discriminator.get("propertyName") if isinstance(discriminator, dict) else None
        tags: list[str] = []
        for branch in schema["oneOf"]:
            if isinstance(branch, dict) and "$ref" in branch:
                branch = self._target(branch["$ref"])
            if not isinstance(branch, dict) or name not in branch.get("required", ()):
                return False
            part = branch.get("properties", {}).get(name)
            part = part if isinstance(part, dict) else {}
            values = [part["const"]] if "const" in part else part.get("enum", [])
            if not values:
                return False
            tags += map(json.dumps, values)
        return len(tags) == len(set(tags))

    # ── values and types ────────────────────────────────────────────────────────────────────

    def _compile_values(self, schema: Schema) -> Node:
        """`const` or `enum`: those values that satisfy the other keywords too."""
        values = [schema["const"]] if "const" in schema else schema["enum"]
        # Validated without the enum: looking up each value among all of them is quadratic.
        rest = {k: v for k, v in schema.items() if k != ("const" if "const" in schema else "enum")}
        validator = validator_for({**rest, "$defs": self.root.get("$defs", {})})
        texts = [json_text(value) for value in values if validator.is_valid(value)]
        if not texts:
            raise Unsupported(f"none of the values {values!r:.160} is allowed")
        if len(texts) > MAX_STATES:
            raise Unsupported(f"'enum' has over {MAX_STATES} values")
        return alt([Lit(text) for text in texts])

    def _compile_types(self, schema: Schema, depth: Depth) -> Node:
        """The types that can be guaranteed, at least one.

        Without `type` they are deduced from the keywords: `{"minLength": 3}` means a string here,
        although JSON Schema allows any other type as well.
        """
        types = schema.get("type") or [
            name for name in _TYPES if _KEYWORDS_OF_TYPE.get(name, set()) & schema.keys()
        ]
        types = [types] if isinstance(types, str) else types or list(_TYPES)
        if "number" in types:
            types = [name for name in types if name != "integer"]
        options, reason = [], "no value is allowed"
        for name in types:
            try:
                if name in ("boolean", "null"):
                    texts = ["true", "false"] if name == "boolean" else ["null"]
                    options.append(alt([Lit(text) for text in texts]))
                elif name in ("array", "object"):
                    nested = self._compile_array if name == "array" else self._compile_object
                    options.append(nested(schema, depth))
                elif name == "integer":
                    options.append(integer_range(*integer_limits(schema)))
                else:
                    options.append(_string(schema) if name == "string" else _number(schema))
            except Unsupported as error:
                reason = f"{name}: {error}"
        if not options:
            raise Unsupported(reason)
        return alt(options)

    def _compile_array(self, schema: Schema, depth: Depth) -> Node:
        low, high = _limits_of_length(schema, "minItems", "maxItems")
        try:
            item = self.compile(schema.get("items", True), self._deeper(schema, "items", depth))
        except Unsupported:
            if low:
                raise
            return Lit("[]")
        return _listed("[", item, low, high, "]")

    def _compile_object(self, schema: Schema, depth: Depth) -> Node:
        # 1. The declared properties; required ones without a declaration join them.
        properties: Schema = dict(schema.get("properties", {}))
        additional = schema.get("additionalProperties", True)
        required = set(schema.get("required", ()))
        for name in sorted(required - properties.keys()):
            properties[name] = additional
        # 2. Without any, the names are free. `"properties": {}` alone means an empty object: it is
        # how the arguments of a tool without parameters are written.
        empty = "properties" in schema and "additionalProperties" not in schema
        if not properties and not empty and additional is not False:
            return self._compile_mapping(schema, additional, depth)
        # 3. The values; an optional property that cannot be guaranteed is left out.
        members: list[tuple[Node, bool]] = []
        for name, part in properties.items():
            try:
                value = self.compile(part, depth)
            except Unsupported:
                if name in required:
                    raise
                continue
            members.append((seq(f"{json_text(name)}: ", value), name in required))
        return _object_node(members)

    def _compile_mapping(self, schema: Schema, value: Any, depth: Depth) -> Node:
        """An object whose property names the model chooses."""
        # A name starts with a letter, digit or underscore: a small model, which rarely writes JSON
        # on one line, otherwise begins it with the `",` or `":` of a text that has no names.
        name = seq('"', _NAME_START, Rep(PLAIN, 0, _MAX_NAME - 1), '"')
        try:
            deeper = self._deeper(schema, "properties", depth)
            member = seq(name, ": ", self.compile(value, deeper))
        except Unsupported:
            return Lit("{}")
        return _listed("{", member, 0, _MAX_NAMES, "}")

    @staticmethod
    def _deeper(schema: Mapping[str, Any], keyword: str, depth: Depth) -> Depth:
        """The depth of the values inside `schema`. Those without a schema of their own are limited
        in nesting, or the grammar would not be finite."""
        if schema.get(keyword) or (keyword == "properties" and schema.get("additionalProperties")):
            return depth
        if depth.get("*", 0) >= _MAX_FREE_LEVELS:
            raise Unsupported("values without a schema are nested too deep")
        return {**depth, "*": depth.get("*", 0) + 1}


def _string(schema: Schema) -> Node:
    lengths = sorted({"minLength", "maxLength"} & schema.keys())
    if "pattern" in schema:
        if lengths:
            raise Unsupported(f"{lengths[0]!r} beside 'pattern' is not supported")
        return seq('"', compile_pattern(schema["pattern"]), '"')
    return seq('"', Rep(CHARACTER, *_limits_of_length(schema, "minLength", "maxLength")), '"')


def _number(schema: Schema) -> Node:
    limits = {keyword: schema[keyword] for keyword in sorted(_LIMITS & schema.keys())}
    if limits not in ({}, {"minimum": 0}):
        raise Unsupported(f"{next(iter(limits))!r} of a number other than 'minimum' 0")
    number = seq(integer_range(0, MAX), optional(".", Rep(DIGIT, 1, 8)))
    return number if limits else seq(optional("-"), number)


def _limits_of_length(schema: Schema, least: str, most: str) -> tuple[int, int | None]:
    low, high = int(schema.get(least, 0)), schema.get(most)
    if high is not None and high < low:
        raise Unsupported(f"{least} is above {most}")
    return low, None if high is None else int(high)


def _listed(start: str, item: Node, low: int, high: int | None, end: str) -> Node:
    """`low` to `high` items between two brackets, with commas between them."""
    if high == 0:
        return Lit(start + end)
    tail = Rep(seq(", ", item), max(0, low - 1), None if high is None else high - 1)
    return seq(start, seq(item, tail) if low else optional(item, tail), end)


def _object_node(members: Sequence[tuple[Node, bool]]) -> Node:
    """An object of (member, required) pairs in their order."""
    if not members:
        return Lit("{}")
    # From the last member to the first, two nodes each: with a comma before it, and without one
    # as the first member. The size of the grammar stays linear in the number of members.
    after: Node = Lit("")
    first: Node | None = None
    for node, required in reversed(members):
        start = seq(node, after)
        first = start if required else alt([start, first or Lit("")])
        rest = seq(", ", node) if required else optional(", ", node)
        after = seq(rest, after)
    assert first is not None
    return seq("{", first, "}")


def json_text(value: Any) -> str:
    """The value as JSON in the layout of the grammars, which is that of `json.dumps`."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair can only be written as an escape
        return json.dumps(value)
    return text


# ── ranges of integers, as grammars over their digits ───────────────────────────────────────


def integer_limits(schema: Mapping[str, Any]) -> tuple[int, int]:
    """The least and the greatest integer that a schema allows, of at most 15 digits.

    >>> integer_limits({"exclusiveMinimum": 1, "maximum": 7.5})
    (2, 7)
    """

    def limit(keyword: str, default: int) -> Any:
        return max(-MAX - 1, min(schema.get(keyword, default), MAX + 1))  # may be infinite

    low = max(-MAX, ceil(limit("minimum", -MAX)), floor(limit("exclusiveMinimum", -MAX - 1)) + 1)
    high = min(MAX, floor(limit("maximum", MAX)), ceil(limit("exclusiveMaximum", MAX + 1)) - 1)
    return low, high


def integer_range(low: int, high: int) -> Node:
    """The integers from `low` to `high`, both included.

    >>> from seedbed.structured.grammar import Grammar
    >>> grammar = Grammar(integer_range(-5, 120))
    >>> [text for text in ("-6", "-5", "007", "99", "121") if grammar.matches(text)]
    ['-5', '99']
    """
    if low > high:
        raise Unsupported("no number is between its bounds")
    options: list[Node] = []
    if high >= 0:
        options += _by_width(max(low, 0), high)
    if low < 0:
        options.append(seq("-", alt(_by_width(max(-high, 1), -low))))
    return alt(options)


def _by_width(low: int, high: int) -> list[Node]:
    """One node for each number of digits: 8…120 becomes 8–9, 10–99 and 100–120."""
    options = []
    width = len(str(low))
    while low <= high:
        options.append(_digit_range(str(low), str(min(high, 10**width - 1))))
        low, width = 10**width, width + 1
    return options


def _digit_range(low: str, high: str) -> Node:
    """The digit strings from `low` to `high`, which are equally long."""
    # 1. All digits are free, as in 000…999.
    if set(low) <= {"0"} and set(high) <= {"9"}:
        return Rep(DIGIT, len(low), len(low))
    # 2. The first digit is fixed, as in 53…57.
    if low[0] == high[0]:
        return seq(low[0], _digit_range(low[1:], high[1:]))
    # 3. Otherwise by the first digit: 53…87 is 53–59, 60–79 and 80–87.
    zeros, nines = "0" * (len(low) - 1), "9" * (len(low) - 1)
    options = [seq(low[0], _digit_range(low[1:], nines))]
    if int(high[0]) - int(low[0]) > 1:
        middle = Chars(((ord(low[0]) + 1, ord(high[0]) - 1),))
        options.append(seq(middle, _digit_range(zeros, nines)))
    options.append(seq(high[0], _digit_range(zeros, high[1:])))
    return alt(options)
