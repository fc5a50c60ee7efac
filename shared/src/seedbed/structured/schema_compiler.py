"""Compiles a JSON schema to a grammar whose every text is valid against the schema.

    node = compile_schema({"type": "array", "items": {"type": "integer"}, "maxItems": 3})
    Grammar(node).matches("[1, 20, 3]")  # True

The grammar matches a subset of the valid texts, with one layout (`, ` and `: ` as separators):
declared properties come in their declared order, and undeclared ones only where none is declared.
Raises Unsupported for what a grammar cannot guarantee. Not guaranteed by the grammar, and left to
`constrain`: that the members of an array differ (`uniqueItems`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from seedbed.structured.number_ranges import decimal_range, integer_limits, integer_range
from seedbed.structured.regex import CHARACTER, FORMATS, PLAIN, compile_pattern
from seedbed.structured.schema_merge import exclusive, merge
from seedbed.structured.validator import is_valid, validator_for

_MAX_NAME = 40  # characters of a property name that the model chooses
_NAME_START = Chars(((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A), (0xC0, 0xD7FF)))
_MAX_FREE_LEVELS = 2  # of nesting inside values without a schema
MAX_DEPTH = 3  # how often a recursive `$ref` is followed inside itself
_UNSUPPORTED = (
    *("not", "if", "then", "else", "contains", "dependencies", "dependentRequired"),
    *("dependentSchemas", "multipleOf", "patternProperties", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"),
)
_KEYWORDS_OF_TYPE = {
    "object": {"properties", "required", "minProperties", "maxProperties", "additionalProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
}
_TYPES = ("object", "array", "string", "number", "boolean", "null")

Depth = Mapping[str, int]
"""How often each `$ref` was followed to get here; "*" counts the levels without a schema."""


def compile_schema(schema: dict[str, Any]) -> Node:
    """The grammar of a whole schema (draft 2020-12, already checked against its meta-schema).

    >>> compile_schema({"enum": ["yes", None]}).options
    (Lit(text='"yes"'), Lit(text='null'))
    """
    return _Compiler(schema).compile(schema, {})


class _Compiler:
    """Compiles the parts of one root schema; equal parts behind a `$ref` are shared."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self.shared: dict[Any, Node] = {}

    def compile(self, schema: Any, depth: Depth) -> Node:
        if schema is False:
            raise Unsupported("the schema false allows no value")
        if schema is True:
            schema = {}
        # 1. Refuse what no grammar here can guarantee.
        for keyword in _UNSUPPORTED:
            if keyword in schema:
                raise Unsupported(f"{keyword!r} is not supported")
        # 2. Replace references and combinations by plain schemas, merged with what is beside them.
        if "$ref" in schema:
            return self._compile_ref(schema, depth)
        if schema.get("allOf"):
            rest = {k: v for k, v in schema.items() if k != "allOf"}
            for part in schema["allOf"]:
                plain, depth = self._resolve(part, depth)
                rest = merge(rest, plain)
            return self.compile(rest, depth)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._compile_branches(schema, keyword, depth)
        # 3. What is left is a list of values, or one or more types with their limits.
        if "enum" in schema or "const" in schema:
            return self._compile_values(schema)
        return self._compile_types(schema, depth)

    # ── references and combinations ─────────────────────────────────────────────────────────

    def _compile_ref(self, schema: dict[str, Any], depth: Depth) -> Node:
        schema, depth = self._resolve(schema, depth)
        key = (json.dumps(schema, sort_keys=True), *sorted(depth.items()))
        if key not in self.shared:
            self.shared[key] = self.compile(schema, depth)
        return self.shared[key]

    def _resolve(self, schema: Any, depth: Depth) -> tuple[Any, Depth]:
        """The schema with a leading `$ref` replaced by its target, ready to be merged."""
        while isinstance(schema, dict) and "$ref" in schema:
            ref = schema["$ref"]
            if depth.get(ref, 0) >= MAX_DEPTH or sum(depth.values()) > 4 * MAX_DEPTH:
                raise Unsupported(f"{ref} is nested in itself more than {MAX_DEPTH} times")
            depth = {**depth, ref: depth.get(ref, 0) + 1}
            rest = {k: v for k, v in schema.items() if k != "$ref"}
            schema = merge(rest, self._target(ref))
        return schema, depth

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

    def _compile_branches(self, schema: dict[str, Any], keyword: str, depth: Depth) -> Node:
        """`anyOf` or `oneOf`: the branches that can be guaranteed, at least one."""
        rest = {k: v for k, v in schema.items() if k != keyword}
        branches = schema[keyword]
        if keyword == "oneOf" and not exclusive([self._resolve(b, depth)[0] for b in branches]):
            raise Unsupported("'oneOf' needs branches of different types, or with a required tag")
        options, reason = [], f"{keyword!r} is empty"
        for branch in branches:
            try:
                plain, deeper = self._resolve(branch, depth)
                options.append(self.compile(merge(rest, plain), deeper))
            except Unsupported as error:
                reason = str(error)
        if not options:
            raise Unsupported(reason)
        return alt(options)

    # ── values and types ────────────────────────────────────────────────────────────────────

    def _compile_values(self, schema: dict[str, Any]) -> Node:
        """`const` or `enum`: those values that satisfy the other keywords too."""
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if "const" in schema and "enum" in schema:
            values = [value for value in values if is_valid(value, {"enum": schema["enum"]})]
        # Validated without the enum: looking up each value among all of them is quadratic.
        rest = {k: v for k, v in schema.items() if k not in ("enum", "const")}
        validator = validator_for({**rest, "$defs": self.root.get("$defs", {})})
        texts = [json_text(value) for value in values if validator.is_valid(value)]
        if not texts:
            raise Unsupported(f"none of the values {values!r:.160} is allowed")
        if len(texts) > MAX_STATES:
            raise Unsupported(f"'enum' has over {MAX_STATES} values")
        return alt([Lit(text) for text in texts])

    def _compile_types(self, schema: dict[str, Any], depth: Depth) -> Node:
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
                options.append(getattr(self, f"_compile_{name}")(schema, depth))
            except Unsupported as error:
                reason = f"{name}: {error}"
        if not options:
            raise Unsupported(reason)
        return alt(options)

    def _compile_null(self, *_: Any) -> Node:
        return Lit("null")

    def _compile_boolean(self, *_: Any) -> Node:
        return alt([Lit("true"), Lit("false")])

    def _compile_string(self, schema: dict[str, Any], _: Any) -> Node:
        low, high = int(schema.get("minLength", 0)), schema.get("maxLength")
        high = None if high is None else int(high)
        if high is not None and high < low:
            raise Unsupported("minLength is above maxLength")
        # An unknown format is ignored, as the specification requires.
        source = FORMATS.get(schema.get("format", ""))
        if source and "pattern" in schema:
            raise Unsupported("'pattern' together with 'format' is not supported")
        source = schema.get("pattern", source)
        inside = Rep(CHARACTER, low, high) if source is None else compile_pattern(source, low, high)
        return seq('"', inside, '"')

    def _compile_integer(self, schema: dict[str, Any], _: Any) -> Node:
        return integer_range(*integer_limits(schema))

    def _compile_number(self, schema: dict[str, Any], _: Any) -> Node:
        return decimal_range(schema)

    def _compile_array(self, schema: dict[str, Any], depth: Depth) -> Node:
        # 1. The schema of the items; without it, the array ends after `prefixItems`.
        low, high = int(schema.get("minItems", 0)), schema.get("maxItems")
        prefix = schema.get("prefixItems", [])
        if prefix and schema.get("uniqueItems"):  # `finish` would move items to another schema
            raise Unsupported("'uniqueItems' together with 'prefixItems' is not supported")
        if low > 1 and schema.get("uniqueItems"):  # a grammar cannot exclude repetition
            raise Unsupported("'uniqueItems' with 'minItems' above 1 is not supported")
        items: Node | None = None
        try:
            items = self.compile(schema.get("items", True), self._deeper(schema, "items", depth))
        except Unsupported:
            if low > len(prefix):
                raise
        # 2. The limits of its length.
        most = len(prefix) if items is None else None
        high = most if high is None else int(high) if most is None else min(int(high), most)
        if high is not None and high < low:
            raise Unsupported(f"minItems is {low}, but the array can have at most {high} items")
        # 3. The members, with commas between them.
        first = [self.compile(part, depth) for part in prefix[:high]]
        if first:
            head = seq(first[0], *[seq(", ", part) for part in first[1:]])
            if items is None or (high is not None and high <= len(first)):
                return seq("[", head, "]")
            more = None if high is None else high - len(first)
            return seq("[", head, Rep(seq(", ", items), max(0, low - len(first)), more), "]")
        if items is None or high == 0:
            return Lit("[]")
        tail = Rep(seq(", ", items), max(0, low - 1), None if high is None else high - 1)
        return seq("[", seq(items, tail) if low else optional(items, tail), "]")

    def _compile_object(self, schema: dict[str, Any], depth: Depth) -> Node:
        # 1. The declared properties; required ones without a declaration join them.
        properties: dict[str, Any] = dict(schema.get("properties", {}))
        additional = schema.get("additionalProperties", True)
        required = set(schema.get("required", ()))
        for name in sorted(required - properties.keys()):
            properties[name] = additional
        low, high = int(schema.get("minProperties", 0)), schema.get("maxProperties")
        # 2. Without any, the names are free. `"properties": {}` alone means an empty object: it is
        # how the arguments of a tool without parameters are written.
        empty = "properties" in schema and "additionalProperties" not in schema and not low
        if not properties and not empty and additional is not False:
            return self._compile_mapping(schema, additional, low, high, depth)
        if low or high is not None:  # a grammar that counts them has a rule for each combination
            keyword = "minProperties" if low else "maxProperties"
            raise Unsupported(f"{keyword!r} is only supported without 'properties'")
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

    def _compile_mapping(
        self, schema: dict[str, Any], value: Any, low: int, high: Any, depth: Depth
    ) -> Node:
        """An object whose property names the model chooses."""
        if high is not None and high < 1:
            if low:
                raise Unsupported("minProperties is above maxProperties")
            return Lit("{}")
        if low > 1:  # the names might be equal
            raise Unsupported("'minProperties' above 1 needs declared properties")
        # A name starts with a letter, digit or underscore: a small model, which rarely writes JSON
        # on one line, otherwise begins it with the `",` or `":` of a text that has no names.
        name = seq('"', _NAME_START, Rep(PLAIN, 0, _MAX_NAME - 1), '"')
        try:
            deeper = self._deeper(schema, "properties", depth)
            member = seq(name, ": ", self.compile(value, deeper))
        except Unsupported:
            if low:
                raise
            return Lit("{}")
        tail = Rep(seq(", ", member), 0, None if high is None else int(high) - 1)
        return seq("{", seq(member, tail) if low else optional(member, tail), "}")

    @staticmethod
    def _deeper(schema: Mapping[str, Any], keyword: str, depth: Depth) -> Depth:
        """The depth of the values inside `schema`. Those without a schema of their own are limited
        in nesting, or the grammar would not be finite."""
        if schema.get(keyword) or (keyword == "properties" and schema.get("additionalProperties")):
            return depth
        if depth.get("*", 0) >= _MAX_FREE_LEVELS:
            raise Unsupported("values without a schema are nested too deep")
        return {**depth, "*": depth.get("*", 0) + 1}


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
    """The value as JSON in the layout of the grammars, which is that of `json.dumps`.

    >>> json_text({"name": "Zoë"})
    '{"name": "Zoë"}'
    """
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair can only be written as an escape
        return json.dumps(value)
    return text
