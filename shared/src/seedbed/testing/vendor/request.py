"""What both protocols need to judge a request: errors, texts, tokens, images, schema violations."""

from __future__ import annotations

import base64
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import SchemaError

IMAGE_TOKENS = 765  # what gpt-4o charges for 1024 x 1024 pixels
_SIGNATURES = {"png": b"\x89PNG\r\n", "jpeg": b"\xff\xd8\xff", "gif": b"GIF8", "webp": b"RIFF"}


@dataclass(eq=False)
class Fault(Exception):
    """An error as a vendor returns it, because of a rule or of the script."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None

    def __str__(self) -> str:
        return self.message


class Refusals:
    """The errors of a vendor by rule, from a table with their wording and where it comes from."""

    def __init__(self, table: str) -> None:
        with Path(__file__).with_name(table).open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
        self.rows = {row["rule"]: row for row in rows}

    def fault(self, rule: str, **values: Any) -> Fault:
        """The error of a rule, with `values` in its wording.

        >>> Refusals("openai_refusals.tsv").fault("404", model="gpt-9").message
        'The model `gpt-9` does not exist or you do not have access to it.'
        """
        row = {name: text.format_map(values) for name, text in self.rows[rule].items()}
        code, param = row["code"] or None, row["param"] or None
        return Fault(int(row["status"]), row["message"], row["type"], code, param)


def texts(value: Any) -> Iterator[str]:
    """Every string in a JSON value, keys excepted.

    >>> list(texts([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]))
    ['user', 'text', 'Hi']
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def count_tokens(value: Any) -> int:
    """Tokens of a JSON value: one per four characters of each string, and 765 per image.

    >>> count_tokens([{"role": "user", "content": "Hello there."}])
    7
    """
    if isinstance(value, str):
        return -(-len(value) // 4)
    if isinstance(value, list):
        return sum(map(count_tokens, value))
    if not isinstance(value, dict):
        return 0
    if value.get("type") in ("image", "image_url"):
        return IMAGE_TOKENS
    return sum(count_tokens(key) + count_tokens(item) for key, item in value.items())


def image_format(data: str) -> str | None:
    """The format of base64-encoded image data, by its first bytes; ValueError if not base64."""
    content = base64.b64decode(data, validate=True)
    return next((name for name, sign in _SIGNATURES.items() if content.startswith(sign)), None)


def fields(required: str = "", **properties: Any) -> dict[str, Any]:
    """The schema of an object with these properties and no others."""
    return {
        "type": "object",
        "required": required.split(),
        "properties": properties,
        "additionalProperties": False,
    }


def one_of(key: str, **cases: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object whose `key` decides which of the schemas `cases` it must match."""
    for schema in cases.values():
        schema.get("properties", {})[key] = {}
    return {
        "type": "object",
        "required": [key],
        "properties": {key: {"enum": list(cases)}},
        "allOf": [
            {"if": {"properties": {key: {"const": name}}}, "then": schema}
            for name, schema in cases.items()
        ],
    }


def first_violation(schema: dict[str, Any], value: Any) -> ValidationError | None:
    """The violation closest to the root of `value`, if there is one."""
    errors = Draft202012Validator(schema).iter_errors(value)
    return min(errors, key=lambda error: len(error.absolute_path), default=None)


def unknown_fields(error: ValidationError) -> list[str]:
    """The properties that an `additionalProperties` violation is about."""
    value: Any = error.instance
    schema: Any = error.schema
    return sorted(set(value) - set(schema["properties"]))


def schema_problem(schema: Any) -> str | None:
    """Why `schema` is not a JSON Schema."""
    try:
        Draft202012Validator.check_schema(schema)
    except (SchemaError, re.error) as error:
        return str(getattr(error, "message", error))
    return None
