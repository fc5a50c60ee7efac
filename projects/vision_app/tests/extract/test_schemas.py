"""Built-in schemas, and JSON Schemas that a user writes or that pydantic makes."""

from __future__ import annotations

import datetime
import enum
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, create_model

from vision_app.__main__ import main
from vision_app.extract.schemas import load_schema
from vision_app.files.samples import samples

INVOICE = str(next(sample.path for sample in samples() if sample.name == "invoice"))
DRAWING = """
# Nordhaus GmbH

 Invoice no. 4711      Date 4 March 2025
 Rooms: 3
 Shift: late

 Net                   100.00
 VAT 20.5 %             20.50
 Total             EUR 120.50
"""


class Shift(enum.Enum):
    EARLY, LATE = "early", "late"


class Item(BaseModel):
    description: str
    amount: Decimal | None = None


def model(**fields: Any) -> type[BaseModel]:
    return create_model("Invoice", **fields)


PYDANTIC = {
    "optional decimal": (model(total=(Decimal | None, None)), {"total": 120.5}),
    "decimal": (model(total=(Decimal, ...)), {"total": 120.5}),
    "amount as a text": (model(total=(str, ...)), {"total": "120.50"}),
    "any value": (model(total=(Any, None)), {"total": 120.5}),
    "whole number": (
        model(total=(int | None, None), rooms=(int, ...)),
        {"total": None, "rooms": 3},
    ),
    "tax and subtotal": (
        model(tax=(Decimal | None, None), subtotal=(float | None, None), total=(float, ...)),
        {"tax": 20.5, "subtotal": 100.0, "total": 120.5},
    ),
    "date": (model(date=(datetime.date | None, None)), {"date": "2025-03-04"}),
    "enum": (model(shift=(Shift, ...)), {"shift": "late"}),
    "literal": (model(currency=(Literal["PLN", "SEK"] | None, None)), {"currency": None}),
    "limits": (
        model(total=(float | None, Field(None, le=100)), rooms=(int | None, Field(None, ge=1))),
        {"total": None, "rooms": 3},
    ),
    "list of models": (model(line_items=(list[Item], [])), {"line_items": None}),
}


@pytest.mark.parametrize(("kind", "expected"), PYDANTIC.values(), ids=PYDANTIC)
def test_schema_of_pydantic_is_filled_and_the_answer_follows_it(
    post: Callable[..., Any], kind: type[BaseModel], expected: dict[str, Any]
) -> None:
    schema = kind.model_json_schema()
    response = post(DRAWING, schema)
    assert response.status_code == 200, response.text
    fields = response.json()["fields"]
    assert fields == expected
    known = {name: value for name, value in fields.items() if value is not None}
    Draft202012Validator({**schema, "required": []}).validate(known)


REFUSED = {
    "cycle": {
        "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}},
        "$ref": "#/$defs/A",
    },
    "missing": {"$ref": "#/$defs/None"},
    "file": {"$ref": "file:///etc/passwd"},
    "address": {"$ref": "http://127.0.0.1:9/schema.json"},
    "object": {"type": "object", "properties": {"street": {"type": "string"}}},
    "one of": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "list of numbers": {"type": "array", "items": {"type": "number"}},
    "nothing": {"type": "array", "items": False},
    "look-around": {"type": "string", "pattern": r"(a)\1"},
    "labels": {"x-labels": "a"},
    "type": {"type": "nonsense"},
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_property_that_is_not_supported_is_refused_in_one_sentence(
    post: Callable[..., Any], data: dict[str, Any]
) -> None:
    response = post(DRAWING, {"properties": {"place": data}, "$defs": data.pop("$defs", {})})
    message = response.json()["error"]["message"]
    assert response.status_code == 400
    assert "\n" not in message and ("'place'" in message or "invalid JSON Schema" in message)


@pytest.mark.parametrize("items", [True, {}, {"type": ["string", "null"]}])
def test_list_of_any_items_is_a_list_of_texts(post: Callable[..., Any], items: Any) -> None:
    schema = {"properties": {"names": {"type": "array", "items": items}}}
    assert post(DRAWING, schema).json()["fields"] == {"names": None}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "invalid JSON Schema"),
        ({"type": "object"}, "not a JSON Schema of an object with properties"),
        ({"properties": {f"x{n}": {} for n in range(201)}}, "201 properties; the maximum is 200"),
        ("{", "not a JSON file"),
        (None, "Unknown schema"),
    ],
)
def test_file_that_is_not_a_usable_schema_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: Any, message: str
) -> None:
    path = tmp_path / "own.json"
    if data is not None:
        path.write_text(data if isinstance(data, str) else json.dumps(data), "utf-8")
    with pytest.raises(SystemExit) as done:
        main(["extract", INVOICE, "--schema", str(path)])
    assert done.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line


@pytest.mark.parametrize("name", ["invoice", "receipt"])
def test_built_in_schema_has_the_main_fields(name: str) -> None:
    names = {field.name for field in load_schema(name).fields}
    assert {"vendor", "invoice_number", "date", "total", "currency", "line_items"} <= names


@pytest.mark.timeout(60)
def test_pattern_of_a_schema_takes_linear_time(post: Callable[..., Any]) -> None:
    def send(pattern: str) -> Any:
        data = {"properties": {"code": {"type": "string", "pattern": pattern}}}
        return post(f" Code  {'a' * 40}\n", data).json()["fields"]

    assert send("^(([^!])+)+!$") == {"code": None}
    assert send("^(([^!])+)+$") == {"code": "a" * 40}
