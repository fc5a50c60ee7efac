"""Schemas of what to extract: the built-in ones, and JSON Schemas that a user writes.

    schema = load_schema("invoice")              # or "receipt", or Path("my_schema.json")
    [field.name for field in schema.fields]      # ["vendor", "invoice_number", "date", …]

A schema is a JSON Schema of an object whose properties are strings, numbers, booleans or lists
of strings. A property's name, title,
description and `x-labels` (a list) are the labels to look for in a document; `type`, `format`
(date, time, currency), `pattern` and `enum` describe its value. A property with
the name of a built-in field, such as `total`, is found by the rules of that field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedbed.errors import BadInput, ConfigError, NotFound
from seedbed.safety.patterns import UntrustedPattern, compile_untrusted

BUILT_IN = ("invoice", "receipt")
MAX_FIELDS = 200  # of a schema; each is looked for on all pages
FORMATS = {"date": "date", "date-time": "date", "time": "time", "currency": "currency"}
KINDS = {"number": "amount", "integer": "integer", "boolean": "flag"}
NAMED = {name: name for name in ("vendor", "customer", "currency")}
NAMED |= {"invoice_number": "number", "order_number": "number"}
NAMED |= {"document_type": "document_type", "payment_method": "payment"}
# Which kinds of labels name a field, and how well: what is due beats the total of the invoice.
ROLES: dict[str, dict[str, float]] = {
    **{
        name: {name: 1.0}
        for name in "order_number customer due_date time subtotal tax payment_method".split()
    },
    "invoice_number": {
        "invoice_number": 1.0,
        "receipt_number": 0.85,
        "document_title": 0.75,
        "plain_number": 0.62,
        "reference_number": 0.55,
    },
    "date": {"invoice_date": 1.0, "plain_date": 0.85, "paid_date": 0.55},
    "total": {"amount_due": 1.0, "gross_total": 0.88, "total": 0.78},
}


@dataclass(frozen=True)
class Field:
    """A property of the schema.

    `value` is the kind of its value: text, texts (a list), flag, date, time, amount, integer,
    currency, number (of a document), vendor, customer, payment, document_type or items. `roles`
    weighs the kinds of labels that name it.
    """

    name: str
    value: str
    roles: Mapping[str, float]
    labels: tuple[str, ...] = ()
    pattern: UntrustedPattern | None = None
    enum: tuple[str, ...] = ()

    @property
    def free(self) -> bool:
        """Whether its text may contain built-in labels: a field of a user's schema, "Card"."""
        own = any(role.startswith("field:") for role in self.roles)
        return own or self.value == "payment"


@dataclass(frozen=True)
class Schema:
    """The fields in order, and the JSON Schema as it was written."""

    name: str
    fields: tuple[Field, ...]
    json: Mapping[str, Any]


def load_schema(name: str | Path) -> Schema:
    """The built-in schema of this name, or the one in a JSON file.

    Raises ConfigError if it is not a JSON Schema of an object, NotFound for a missing file.

    >>> load_schema("receipt").fields[0].name
    'vendor'
    """
    built_in = str(name) in BUILT_IN
    path = Path(__file__).with_name(f"{name}.json") if built_in else Path(name)
    if not path.is_file():
        raise NotFound(
            f"Unknown schema {str(name)!r}.",
            hint=f"Available: {', '.join(BUILT_IN)}, or the path of a JSON Schema file.",
        )
    try:
        data = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a JSON file: {error}.") from None
    return parse_schema(data, path.stem)


def parse_schema(data: Any, name: str = "schema") -> Schema:
    """The schema that a JSON value describes. Raises ConfigError with the wrong property.

    >>> parse_schema({"properties": {"iban": {"type": "string"}}}).fields[0].labels
    ('iban',)
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    properties = data.get("properties") if isinstance(data, dict) else None
    if isinstance(properties, dict) and len(properties) > MAX_FIELDS:
        message = f"{name} has {len(properties):,} properties; the maximum is {MAX_FIELDS}."
        raise ConfigError(message, hint="Split it into several schemas.")
    try:
        Draft202012Validator.check_schema(data)
    except SchemaError as error:
        raise ConfigError(f"{name}: invalid JSON Schema: {error.message}.") from None
    if not isinstance(properties, dict) or not properties:
        raise ConfigError(
            f"{name}: not a JSON Schema of an object with properties.",
            hint='Example: {"type": "object", "properties": {"iban": {"type": "string"}}}',
        )
    return Schema(name, tuple(_field(name, key, value) for key, value in properties.items()), data)


def _field(schema: str, name: str, data: Any) -> Field:
    where = f"{schema}: property {name!r}"
    if not isinstance(data, dict):
        raise ConfigError(f"{where} is not an object.")
    labels = data.get("x-labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ConfigError(f"{where}: x-labels is not a list of strings.")
    try:
        pattern = compile_untrusted(data["pattern"]) if "pattern" in data else None
    except BadInput as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None
    roles = dict(ROLES.get(name, {}))
    if schema == "receipt" and name == "invoice_number":
        roles["transaction_number"] = 0.55
    if name not in ROLES:
        words = name.replace("_", " ").replace("-", " ")
        texts = [words, data.get("title", ""), data.get("description", "")]
        labels = [*labels, *(text for text in texts if 0 < len(text) <= 40)]
    if labels:
        roles[f"field:{name}"] = 1.0
    enum = tuple(str(value) for value in data.get("enum", ()) if value is not None)
    labels = tuple(dict.fromkeys(labels))
    return Field(name, _value(where, name, data), roles, labels, pattern, enum)


def _value(where: str, name: str, data: Mapping[str, Any]) -> str:
    types = data.get("type", "string")
    types = [types] if isinstance(types, str) else types
    main = next((kind for kind in types if kind != "null"), "string")
    if main == "string":
        return NAMED.get(name) or FORMATS.get(data.get("format", ""), "text")
    if main == "array" and name == "line_items":
        return "items"
    if main == "array" and data.get("items", {}).get("type", "string") == "string":
        return "texts"
    if main not in KINDS:
        hint = "Use string, number, integer, boolean, an array of strings, or line_items."
        raise ConfigError(f"{where} has the type {main!r}.", hint=hint)
    return KINDS[main]
