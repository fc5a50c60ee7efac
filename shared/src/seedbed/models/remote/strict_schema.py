"""JSON schemas in the subset that OpenAI's strict mode allows, and replies back from it.

    strict = as_strict({"type": "object", "properties": {"age": {"type": "integer"}}})
    # {"type": "object", "properties": {"age": {"type": ["integer", "null"]}},
    #  "required": ["age"], "additionalProperties": False}
    drop_nulls({"age": None}, schema)    # {}

In strict mode the vendor guarantees the reply, but every property must be required and none may be
added, so optional ones become nullable here. Keywords it does not know are left out; the reply is
validated against the original schema anyway. See the section "Supported schemas" of
https://platform.openai.com/docs/guides/structured-outputs.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_KNOWN = {
    *("type", "description", "enum", "const", "anyOf", "$ref", "$defs", "definitions", "title"),
    *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
    *("pattern", "format", "multipleOf", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum"),
}
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
# They decide what is valid, and no subset of the schema without them would come close.
_IMPOSSIBLE = {"allOf", "oneOf", "not", "if", "patternProperties", "prefixItems", "propertyNames"}


def as_strict(schema: Schema) -> Schema | None:
    """The schema for strict mode; None if it cannot be expressed, as with a free-form object.

    >>> as_strict({"type": "object", "additionalProperties": {"type": "string"}})
    """
    if schema.get("type") != "object" or "anyOf" in schema:  # the root must be a plain object
        return None
    try:
        strict: Schema = _strict(schema)
    except ValueError:
        return None
    return strict


def _strict(schema: Any) -> Any:
    if not isinstance(schema, dict) or _IMPOSSIBLE & schema.keys():
        raise ValueError("not expressible")
    if "$ref" in schema:  # it may have no siblings
        return {"$ref": schema["$ref"]}
    strict = {key: value for key, value in schema.items() if key in _KNOWN}
    if strict.get("format") not in _FORMATS:
        strict.pop("format", None)
    for key in ("$defs", "definitions"):
        if key in strict:
            strict[key] = {name: _strict(part) for name, part in strict[key].items()}
    if "anyOf" in strict:
        strict["anyOf"] = [_strict(part) for part in strict["anyOf"]]
    if "items" in strict:
        strict["items"] = _strict(strict["items"])
    types = strict.get("type")
    types = types if isinstance(types, list) else [types]
    if "array" in types and "items" not in strict:
        raise ValueError("an array of anything")
    if "object" in types or "properties" in strict:
        if not schema.get("properties") or schema.get("additionalProperties") not in (None, False):
            raise ValueError("a free-form object")
        required = schema.get("required", [])
        strict["properties"] = {
            name: _strict(part) if name in required else _nullable(_strict(part))
            for name, part in schema["properties"].items()
        }
        strict |= {"required": list(strict["properties"]), "additionalProperties": False}
    if not {"type", "enum", "const", "anyOf"} & strict.keys():
        raise ValueError("anything is allowed")
    return strict


def _nullable(schema: Schema) -> Schema:
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "null" in kinds or {"type": "null"} in schema.get("anyOf", ()):
        return schema
    if isinstance(kind, str) and not {"enum", "const", "properties"} & schema.keys():
        return {**schema, "type": [kind, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def drop_nulls(value: Any, schema: Schema, root: Schema | None = None) -> Any:
    """`value` without the nulls that stand for optional properties left out."""
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target.get(part, {}) if isinstance(target, dict) else {}
        return drop_nulls(value, target, root)
    if isinstance(value, list):
        return [drop_nulls(item, schema.get("items", {}), root) for item in value]
    if not isinstance(value, dict):
        return value
    for option in schema.get("anyOf", ()):
        if "properties" in option or "$ref" in option:
            value = drop_nulls(value, option, root)
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return {
        name: drop_nulls(part, properties.get(name, {}), root)
        for name, part in value.items()
        if part is not None
        or name not in properties
        or name in required
        or _allows_null(properties[name])
    }


def _allows_null(schema: Schema) -> bool:
    kind = schema.get("type")
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or None in schema.get("enum", ())
        or any(_allows_null(option) for option in schema.get("anyOf", ()))
    )
