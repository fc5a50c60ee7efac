"""Built-in schemas, and which JSON Schemas are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_app.__main__ import main
from vision_app.extract.schemas import load_schema
from vision_app.files.samples import samples

INVOICE = str(next(sample.path for sample in samples() if sample.name == "invoice"))
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
    response = post(
        " Total  5.00\n", {"properties": {"place": data}, "$defs": data.pop("$defs", {})}
    )
    message = response.json()["error"]["message"]
    assert response.status_code == 400
    assert "\n" not in message and ("'place'" in message or "invalid JSON Schema" in message)


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
