"""Schemas of what to extract: the built-in ones, and JSON Schemas that a user writes.

    schema = load_schema("invoice")              # or "receipt", or Path("my_schema.json")
    [field.name for field in schema.fields]      # ["vendor", "invoice_number", "date", …]

A schema is a JSON Schema of an object whose properties are strings, numbers, booleans or lists of
strings, as pydantic makes it: references within the schema are followed, and of `anyOf` the first
branch that is not null counts. A property's name, title, description and `x-labels` (a list) are
the labels to look for in a document. A property with the name of a built-in field, such as `total`,
is found as that field, and written as the type that the schema has for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from seedbed.errors import BadInput, ConfigError, NotFound
from seedbed.safety.patterns import UntrustedPattern, compile_untrusted

BUILT_IN = ("invoice", "receipt")
MAX_FIELDS = 200  # of a schema; each is looked for on all pages
MAX_REFERENCES = 20  # from one part of a schema to the next
REFUSED = frozenset(
    "allOf oneOf not if then else contains prefixItems properties patternProperties propertyNames"
    " additionalProperties dependentSchemas unevaluatedItems unevaluatedProperties"
    " $dynamicRef".split()
)
"""Keywords that are rejected, because the values of a document are not checked against them."""
SUPPORTED = "Use string, number, integer, boolean, an array of strings, or line_items."
FORMATS = {"date": "date", "date-time": "date", "time": "time", "currency": "currency"}
KINDS = {"number": "amount", "integer": "integer", "boolean": "flag"}
NAMED = {
    **{name: name for name in ("vendor", "currency", "time", "document_type")},
    **dict.fromkeys(("customer", "payment_method"), "name"),
    **dict.fromkeys(("invoice_number", "order_number"), "number"),
    **dict.fromkeys(("date", "due_date"), "date"),
    **dict.fromkeys(("subtotal", "tax", "total"), "amount"),
}
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
        "transaction_number": 0.55,
    },
    "date": {"invoice_date": 1.0, "plain_date": 0.85, "paid_date": 0.55},
    "total": {"amount_due": 1.0, "gross_total": 0.88, "total": 0.78},
}


@dataclass(frozen=True)
class Field:
    """A property of the schema.

    `kind` is that of its value: text, texts (a list), flag, date, time, amount, integer, currency,
    number (of a document), vendor, name (which only a model reads), document_type or items.
    `roles` weighs the kinds of labels that name it. `json` is its schema without references.
    """

    name: str
    kind: str
    roles: Mapping[str, float]
    json: Mapping[str, Any]
    labels: tuple[str, ...] = ()
    pattern: UntrustedPattern | None = None

    @property
    def types(self) -> tuple[str, ...]:
        """The JSON types of its values but null; empty if the schema names none."""
        types = self.json.get("type", ())
        return tuple(x for x in ([types] if isinstance(types, str) else types) if x != "null")

    @property
    def enum(self) -> tuple[str, ...]:
        """The permitted values as texts; empty if all are."""
        const = [self.json["const"]] if "const" in self.json else []
        return tuple(str(value) for value in self.json.get("enum", const) if value is not None)

    def accepts(self, value: Any) -> bool:
        """Whether the property's schema permits a value; RE2 matches its pattern."""
        from jsonschema import Draft202012Validator

        if self.pattern and isinstance(value, str) and not self.pattern.search(value):
            return False
        rules = {name: rule for name, rule in self.json.items() if name != "pattern"}
        return bool(Draft202012Validator(rules).is_valid(value))


@dataclass(frozen=True)
class Schema:
    """The fields in order, and the JSON Schema as it was written."""

    name: str
    fields: tuple[Field, ...]
    json: Mapping[str, Any]
    built_in: bool = False


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
    return parse_schema(data, path.stem, built_in=built_in)


def parse_schema(data: Any, name: str = "schema", *, built_in: bool = False) -> Schema:
    """The schema that a JSON value describes. Raises ConfigError, naming an invalid property.

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
    fields = (_field(f"{name}: property {k!r}", k, x, data) for k, x in properties.items())
    return Schema(name, tuple(fields), data, built_in)


def _field(where: str, name: str, data: Any, root: Mapping[str, Any]) -> Field:
    # 1. Follow the references, also those of the items of a list.
    data = _resolve(where, data, root, REFUSED)
    if "items" in data and data["items"] is not True:
        of_lists = REFUSED | {"pattern"}
        of_objects = {"properties", "additionalProperties"} if name == "line_items" else set()
        items = _resolve(f"items of {where}", data["items"], root, of_lists - of_objects)
        parts = {
            key: _resolve(f"{key!r} of {where}", part, root, of_lists)
            for key, part in items.get("properties", {}).items()
        }
        data = {**data, "items": {**items, "properties": parts} if parts else items}
    # 2. Labels and pattern.
    labels = data.get("x-labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ConfigError(f"{where}: x-labels is not a list of strings.")
    try:
        pattern = compile_untrusted(data["pattern"]) if "pattern" in data else None
    except BadInput as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None
    roles = dict(ROLES.get(name, {}))
    if name not in ROLES:
        words = name.replace("_", " ").replace("-", " ")
        texts = [words, data.get("title", ""), data.get("description", "")]
        labels = [*labels, *(text for text in texts if 0 < len(text) <= 40)]
    if labels:
        roles[f"field:{name}"] = 1.0
    kind = _kind(where, name, data)
    return Field(name, kind, roles, data, tuple(dict.fromkeys(labels)), pattern)


def _resolve(where: str, data: Any, root: Mapping[str, Any], refused: Set[str]) -> dict[str, Any]:
    """The schema of a value without references and alternatives. Raises ConfigError."""
    for _ in range(MAX_REFERENCES):
        if not isinstance(data, dict):
            raise ConfigError(f"{where} is not an object.")
        if "$ref" in data:
            target = _follow(where, data["$ref"], root)
            data = {**target, **{name: x for name, x in data.items() if name != "$ref"}}
        elif "anyOf" in data:
            branches = [x for x in data["anyOf"] if x is not True and x != {"type": "null"}]
            branch = branches[0] if branches else {}
            rest = {name: x for name, x in data.items() if name != "anyOf"}
            data = {**branch, **rest} if isinstance(branch, dict) else branch
        elif used := refused & data.keys():
            raise ConfigError(
                f"{where} uses {', '.join(sorted(used))}, which is not supported.", hint=SUPPORTED
            )
        else:
            return data
    raise ConfigError(f"{where} refers to itself.")


def _follow(where: str, reference: str, root: Any) -> dict[str, Any]:
    """What a reference within the schema points to; nothing else is ever opened."""
    node = root if reference.startswith("#/") else None
    for part in reference[2:].split("/"):
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        node = node.get(key) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        hint = "Use references such as #/$defs/NAME."
        raise ConfigError(f"{where} refers to {reference[:80]!r}, which is not here.", hint=hint)
    return node


def _kind(where: str, name: str, data: Mapping[str, Any]) -> str:
    types = data.get("type", "string")
    types = [types] if isinstance(types, str) else types
    main = next((kind for kind in types if kind != "null"), "string")
    if main == "string":
        return NAMED.get(name) or FORMATS.get(data.get("format", ""), "text")
    if main in ("number", "integer") and name in NAMED:
        return NAMED[name]
    if main == "array" and name == "line_items":
        return "items"
    items = data.get("items", True)
    if main == "array" and (items is True or "string" in items.get("type", "string")):
        return "texts"
    if main not in KINDS:
        raise ConfigError(f"{where} has the type {main!r}.", hint=SUPPORTED)
    return KINDS[main]
