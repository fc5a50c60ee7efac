"""The JSON schema of a task's answers, learned from its training data.

    schema = learn_schema(dataset.examples)
    chat.with_structured_output(schema)      # or `response_format` of an OpenAI-compatible server

It has the fields and their order, the values of fields with few values, patterns of the others, and
one branch for each kind of answer, e.g. each tool of a tool call. A server that enforces it returns
valid answers only; which of them is right is up to the model. It does not depend on the request, so
any server can enforce it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from finetune_lora.example import Example
from seedbed.errors import BadInput
from seedbed.structured.constrain import constrain

Schema = dict[str, Any]

_MAX_VALUES = 32
"""Distinct values of a field that are listed; a field with more gets a pattern."""
_REPEATED = 5
"""Average occurrences of a listed value: rarer values are likely names, and others may follow."""
_MAX_MARKS = 8
"""Different punctuation marks in the values of a field with a pattern."""
_LONGER = 2
"""A pattern allows values this many times as long as the longest one in the data. Without a limit,
a small model that repeats itself would do so up to the limit of tokens."""


def learn_schema(examples: Sequence[Example]) -> Schema | None:
    """The schema of all answers; None unless all are JSON objects that a grammar can describe.

    >>> def answer(text):
    ...     return Example(({"role": "assistant", "content": text},))
    >>> learn_schema([answer('{"city": "Oslo", "days": 3}')] * 20)["properties"]
    {'city': {'enum': ['Oslo']}, 'days': {'type': 'integer', 'minimum': 0}}
    """
    values = [_object(example.answer) for example in examples]
    objects = [value for value in values if value is not None]
    if not objects or len(objects) < len(values):
        return None
    schema = _of_objects(objects)
    try:
        constrain(schema)
    except BadInput:
        return None
    return schema


def allowed_values(schema: Schema) -> dict[str, list[str]]:
    """Field → its values, patterns or types, in all branches: valid answers have no others.

    >>> allowed_values({"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}})
    {'city': ['Oslo', 'Rome']}
    """
    allowed: dict[str, list[str]] = {}
    for field, value in _limits(schema, ""):
        if value not in allowed.setdefault(field, []):
            allowed[field].append(value)
    return allowed


def _limits(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    inner = [(path, branch) for branch in schema.get("anyOf", ())]
    inner += [(f"{path}.{name}", field) for name, field in schema.get("properties", {}).items()]
    inner += [(f"{path}[]", schema["items"])] if "items" in schema else []
    for name, field in inner:
        yield from _limits(field, name.removeprefix("."))
    if "const" in schema or "enum" in schema:
        yield from ((path, str(value)) for value in schema.get("enum", [schema.get("const")]))
    elif not inner and schema.get("type") != "object":
        kinds = schema.get("type", "any")
        kind = kinds if isinstance(kinds, str) else " or ".join(kinds)
        kind += f" from {schema['minimum']}" if "minimum" in schema else ""
        kind += ", not empty" if "minLength" in schema else ""
        yield path, schema.get("pattern", kind)


def _object(answer: str) -> dict[str, Any] | None:
    """The object in an answer; None unless it has the layout that constrained decoding writes."""
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    same_layout = json.dumps(value, ensure_ascii=False) == answer
    return value if isinstance(value, dict) and same_layout else None


def _of_objects(objects: Sequence[dict[str, Any]]) -> Schema:
    """One object schema, or a branch for each value of the first field if fields depend on it."""
    kind = _kind_field(objects)
    if kind is None:
        return _object_schema(objects)
    branches = []
    for name in sorted({item[kind] for item in objects}):
        branch = _object_schema([item for item in objects if item[kind] == name])
        branch["properties"][kind] = {"const": name}
        branches.append(branch)
    return {"anyOf": branches}


def _kind_field(objects: Sequence[dict[str, Any]]) -> str | None:
    """The first field, if it has a few text values and other fields occur with some of them only.

    It is the name of the tool in a tool call.
    """
    first = {next(iter(item), "") for item in objects}
    name = first.pop()
    if first or not all(objects):
        return None
    values = [item[name] for item in objects]
    if not all(isinstance(value, str) for value in values) or not _is_closed(values):
        return None
    fields: dict[str, set[str]] = {}
    for item in objects:
        fields.setdefault(item[name], set()).update(_paths(item))
    return name if len({frozenset(paths) for paths in fields.values()}) > 1 else None


def _paths(value: Any, path: str = "") -> set[str]:
    """The path of every field, at any depth."""
    if not isinstance(value, dict):
        return set()
    return {f"{path}/{key}" for key in value}.union(
        *(_paths(inner, f"{path}/{key}") for key, inner in value.items())
    )


def _object_schema(objects: Sequence[dict[str, Any]]) -> Schema:
    names = _ordered([list(item) for item in objects])
    return {
        "type": "object",
        "properties": {name: _of_values([o[name] for o in objects if name in o]) for name in names},
        "required": [name for name in names if all(name in item for item in objects)],
        "additionalProperties": False,
    }


def _ordered(lists: Sequence[Sequence[str]]) -> list[str]:
    """All names in an order that agrees with every list, if there is one."""
    graph: dict[str, set[str]] = {}
    for names in lists:
        for before, name in zip([None, *names], names, strict=False):
            graph.setdefault(name, set()).update({before} if before else ())
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError:
        return list(graph)


def _of_values(values: Sequence[Any]) -> Schema:
    """The schema of one field."""
    types = {_type(value) for value in values}
    if types == {"object"}:
        return _of_objects(values)
    if types == {"array"}:
        members = [member for value in values for member in value]
        return {"type": "array", "items": _of_values(members)} if members else {"type": "array"}
    if types == {"string"}:
        return _of_texts(values)
    if types <= {"integer", "number"}:
        return _of_numbers(values)
    return {"type": sorted(types)}


def _type(value: Any) -> str:
    if value is None:
        return "null"
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer"}
    return names.get(type(value), "number")


def _is_closed(values: Sequence[Any]) -> bool:
    """Whether the same few values occur again and again, so that others are not expected."""
    distinct = len(set(values))
    return distinct <= _MAX_VALUES and _REPEATED * distinct <= len(values)


def _of_texts(values: Sequence[str]) -> Schema:
    if _is_closed(values):
        return {"enum": sorted(set(values))}
    pattern = _pattern(values)
    if pattern:
        return {"type": "string", "pattern": pattern}
    return {"type": "string", **({"minLength": 1} if all(values) else {})}


def _pattern(values: Sequence[str]) -> str | None:
    r"""The pattern of names and numbers; None for free text, which has spaces or other letters.

    >>> _pattern(["T-104", "T-9"]), _pattern(["+4930123", "555014"]), _pattern(["ann.k", "bob7"])
    ('^T-[0-9]{1,6}$', '^\\+?[0-9]{1,16}$', '^[a-z0-9.]{1,10}$')
    """
    # 1. The same beginning before digits, as in T-104.
    prefix = re.match(r"\D*", values[0])[0]  # type: ignore[index]
    if prefix and all(re.fullmatch(re.escape(prefix) + "[0-9]+", value) for value in values):
        return f"^{_escaped(prefix)}[0-9]{_repeat(value[len(prefix) :] for value in values)}$"
    # 2. Otherwise the kinds of characters that occur, with a mark that only occurs first.
    if not all(value.isascii() and value and not re.search(r"\s", value) for value in values):
        return None
    rest = set("".join(value[1:] for value in values))
    only_first = {value[0] for value in values if not value[0].isalnum()} - rest
    lead = f"{_escaped(min(only_first))}?" if len(only_first) == 1 else ""
    characters = set("".join(values)) - (only_first if lead else set())
    marks = sorted(c for c in characters if not c.isalnum())
    if len(marks) > _MAX_MARKS:
        return None
    ranges = (("a-z", str.islower), ("A-Z", str.isupper), ("0-9", str.isdigit))
    kinds = "".join(name for name, test in ranges if any(map(test, characters)))
    in_class = "".join(f"\\{mark}" if mark in r"\]^-[" else mark for mark in marks)
    return f"^{lead}[{kinds}{in_class}]{_repeat(values)}$"


def _repeat(texts: Iterable[str]) -> str:
    """The quantifier of a pattern for these texts."""
    return f"{{1,{_LONGER * max(map(len, texts))}}}"


def _escaped(text: str) -> str:
    """As `re.escape`, without the escapes that ECMAScript's dialect, used in schemas, lacks."""
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text)


def _of_numbers(values: Sequence[float]) -> Schema:
    """A type, and 0 as the minimum if none is negative. Larger ones than in the data may occur."""
    kind = "integer" if all(type(value) is int for value in values) else "number"
    return {"type": kind, **({"minimum": 0} if min(values) >= 0 else {})}
