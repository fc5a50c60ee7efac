"""The JSON that a prompt describes, for answers that must be some JSON object.

    described_schema("Extract the person. The keys are `name` and `age`.")
    # {"type": "object", "properties": {"name": {}, "age": {}}, "required": ["name", "age"]}

Frameworks that use OpenAI's `{"type": "json_object"}` put the schema, an example or the names of
the keys into the prompt. A model of 135 million parameters copies the schema instead of following
it, so what it describes is enforced by a grammar. `constrain` makes the grammar.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from seedbed.structured.schemas import Schema

_MAX_OBJECTS = 100  # that are looked at; each may fail late
MAX_MEMBERS = 16  # a small model adds members to an object until the token limit
ANY_OBJECT: Schema = {"type": "object", "maxProperties": MAX_MEMBERS}
_SCALAR_OR_LIST = {"type": ["string", "number", "boolean", "array"], "items": {"type": "string"}}
# An example is an object after one of these words; any other may be data.
_INTRODUCES_EXAMPLE = re.compile(
    r"\b(answer|example|form|format|keys?|like|output|reply|respond|return|structure|template)\b",
    re.IGNORECASE,
)
_NAME = (
    r"""(?:"[^"\n]{1,40}"|'[^'\n]{1,40}'|`[^`\n]{1,40}`|\*\*[^*\n]{1,40}\*\*|[A-Za-z_]\w{0,39})"""
)
_SEPARATOR = r"(?:\s*,\s*(?:and\s+)?|\s+and\s+)"
_NAMED_KEYS = (
    # "the keys name and city"
    re.compile(
        r"\b(?:keys?|fields?|properties|attributes)\b(?:\s+(?:are|called|named|is))?\s*:?\s+"
        rf"({_NAME}(?:{_SEPARATOR}{_NAME})*)",
        re.IGNORECASE,
    ),
    # "as JSON with the name and city": at least two, because "JSON with three" names no key
    re.compile(
        rf"\bJSON\b(?:\s+object)?\s+(?:with|containing)(?:\s+the)?\s+({_NAME}(?:{_SEPARATOR}{_NAME})+)",
        re.IGNORECASE,
    ),
)
_NOT_NAMES = frozenset(
    "a an and are as be for from if in is it must of on or should that the these this to use "
    "which with you your".split()
)


def described_schema(text: str) -> Schema | None:
    """The schema that a prompt contains, or that its example or its list of keys suggests.

    >>> described_schema('What is 2 + 2? The format is {"result": 5}')["properties"]
    {'result': {'type': 'number'}}
    >>> described_schema("Describe a cat as JSON.") is None
    True
    """
    objects = list(_json_objects(text))
    # 1. The last schema; the instructions of LangChain's parsers begin with examples.
    for _, value in reversed(objects):
        if isinstance(value.get("properties"), dict) and value["properties"]:
            return {"type": "object", **value}
    # 2. The last example.
    for start, value in reversed(objects):
        if value and _INTRODUCES_EXAMPLE.search(text[max(0, start - 80) : start]):
            return _schema_of(value)
    # 3. The keys by name.
    for match in filter(None, (pattern.search(text) for pattern in _NAMED_KEYS)):
        names = [name for name in re.findall(_NAME, match[1]) if name.lower() not in _NOT_NAMES]
        if names:
            return _object({name.strip("\"'`*"): _SCALAR_OR_LIST for name in names})
    return None


def _json_objects(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects in a text, without those inside others, and where each starts."""
    decoder, at = json.JSONDecoder(), text.find("{")
    for _ in range(_MAX_OBJECTS):
        if at < 0:
            return
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield at, value
        at = text.find("{", end)


def _schema_of(example: Any) -> Schema:
    if isinstance(example, dict):
        return _object({name: _schema_of(value) for name, value in example.items()})
    if isinstance(example, list):
        return {"type": "array", "items": _schema_of(example[0]) if example else {"type": "string"}}
    if isinstance(example, bool):
        return {"type": "boolean"}
    if isinstance(example, int | float):
        return {"type": "number"}
    return {"type": "string"} if isinstance(example, str) else _SCALAR_OR_LIST


def _object(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}
