"""Which JSON Schemas the vendors compile for structured outputs and strict tools.

OpenAI: https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas
Anthropic: https://platform.claude.com/docs/en/build-with-claude/structured-outputs
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]

# Limits of the OpenAI page above, section "Some limits on nesting and size".
_PROPERTIES, _LEVELS, _ENUM_VALUES, _CHARACTERS = 5_000, 10, 1_000, 120_000
# The page lists what is supported; `minLength`, `uniqueItems`, `default` … are refused.
_ALLOWED = set(
    "$defs $ref additionalProperties anyOf const definitions description enum exclusiveMaximum"
    " exclusiveMinimum format items maxItems maximum minItems minimum multipleOf pattern"
    " properties required title type $schema $id".split()
)
_FORMATS = set("date-time time date duration email hostname ipv4 ipv6 uuid".split())
_ANTHROPIC_REFUSED = set(
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength maxItems"
    " uniqueItems minProperties maxProperties patternProperties oneOf not if then else".split()
)


def subschemas(schema: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each schema within a schema, itself included, with its path."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for key in ("properties", "$defs", "definitions"):
        for name, child in schema.get(key, {}).items():
            yield from subschemas(child, (*path, key, name))
    for key in ("anyOf", "allOf", "oneOf"):
        for position, child in enumerate(schema.get(key, [])):
            yield from subschemas(child, (*path, key, str(position)))
    yield from subschemas(schema.get("items"), (*path, "items"))


def openai_strict_problem(schema: dict[str, Any]) -> str | None:
    """Why OpenAI refuses `schema` with `strict: true`, in its words.

    >>> openai_strict_problem({"type": "object", "properties": {}})
    "In context=(), 'additionalProperties' is required to be supplied and to be false."
    """
    if schema.get("type") != "object" or "anyOf" in schema:
        kind = schema.get("type", "None")
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    properties = enum_values = characters = 0
    for path, part in subschemas(schema):
        problem = _openai_problem(part)
        if problem:
            return f"In context={path}, {problem}"
        levels = 1 + path.count("properties") + path.count("items")
        if levels > _LEVELS + 1:
            return f"{levels - 1} levels of nesting exceeds limit of {_LEVELS}."
        names = [*part.get("properties", {}), *part.get("$defs", {})]
        constants = [str(value) for value in [*part.get("enum", []), part.get("const", "")]]
        properties += len(part.get("properties", {}))
        enum_values += len(part.get("enum", []))
        characters += sum(map(len, names + constants))
    if properties > _PROPERTIES:
        return f"{properties} properties exceeds limit of {_PROPERTIES}."
    if enum_values > _ENUM_VALUES:
        return (
            f"Expected at most {_ENUM_VALUES} enum values in total within a single schema when"
            f" using structured outputs, but received {enum_values}."
        )
    if characters > _CHARACTERS:
        return f"{characters} characters of names and values exceeds limit of {_CHARACTERS}."
    return None


def _openai_problem(part: dict[str, Any]) -> str | None:
    refused = sorted(set(part) - _ALLOWED)
    if refused:
        return f"'{refused[0]}' is not permitted."
    if "$ref" in part:
        extra = set(part) - {"$ref"}
        return f"$ref cannot have keywords {extra}." if extra else None
    if not {"type", "anyOf", "enum", "const"} & set(part):
        return "schema must have a 'type' key."
    if part.get("format", "date") not in _FORMATS:
        return f"'{part['format']}' is not a valid format."
    # Lookarounds: https://github.com/pydantic/pydantic-ai (profiles/openai.py)
    if "(?=" in part.get("pattern", "") or "(?!" in part.get("pattern", ""):
        return "'pattern' must not contain lookarounds."
    types = part.get("type", [])
    if "array" in types and "items" not in part:
        return "array schema missing items."
    if "object" not in types:
        return None
    if part.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    properties, required = part.get("properties", {}), part.get("required", [])
    missing = [name for name in properties if name not in required]
    if missing:
        return (
            "'required' is required to be supplied and to be an array including every key in"
            f" properties. Missing '{missing[0]}'."
        )
    unknown = [name for name in required if name not in properties]
    return f"'required' contains the unknown key '{unknown[0]}'." if unknown else None


def anthropic_strict_problem(schema: dict[str, Any]) -> str | None:
    """Why Anthropic refuses `schema` as an output format or of a strict tool, in its words."""
    for _, part in subschemas(schema):
        kind = part.get("type")
        refused = sorted(set(part) & _ANTHROPIC_REFUSED)
        if refused:
            return f"For '{kind}' type, property '{refused[0]}' is not supported"
        if part.get("minItems", 0) not in (0, 1):
            return "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
        if kind == "object" and part.get("additionalProperties") is not False:
            return "For 'object' type, 'additionalProperties' must be explicitly set to false"
        if not str(part.get("$ref", "#")).startswith("#"):
            return f"External $ref '{part['$ref']}' is not supported"
    return "Recursive schemas are not supported" if _is_recursive(schema) else None


def _is_recursive(schema: dict[str, Any]) -> bool:
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    uses = {
        name: {
            str(part["$ref"]).rsplit("/", 1)[-1] for _, part in subschemas(body) if "$ref" in part
        }
        for name, body in definitions.items()
    }
    for _ in uses:  # closes the relation "uses" over all definitions
        uses = {n: used.union(*(uses.get(u, set()) for u in used)) for n, used in uses.items()}
    return any(name in used for name, used in uses.items())
