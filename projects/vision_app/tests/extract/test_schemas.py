"""Built-in schemas and those of users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vision_app.extract.schemas import load_schema, parse_schema
from seedbed.errors import ConfigError, NotFound


@pytest.mark.parametrize("name", ["invoice", "receipt"])
def test_built_in_schema_has_the_main_fields(name: str) -> None:
    names = {field.name for field in load_schema(name).fields}
    assert {"vendor", "invoice_number", "date", "total", "currency", "line_items"} <= names


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "invalid JSON Schema"),
        ({"type": "object"}, "not a JSON Schema of an object with properties"),
        ({"properties": {"x": {"type": "object"}}}, "property 'x' has the type 'object'"),
        ({"properties": {"x": {"pattern": "("}}}, "invalid"),
        (
            {"properties": {"x": {"pattern": r"(a)\1"}}},
            "property 'x': .* no look-around, back-references",
        ),
        ({"properties": {"x": {"x-labels": "a"}}}, "x-labels is not a list of strings"),
        ({"properties": {"x": {"type": "nonsense"}}}, "invalid JSON Schema"),
        ({"properties": {f"x{n}": {} for n in range(201)}}, "201 properties; the maximum is 200"),
    ],
)
def test_bad_schema_is_refused_with_the_reason(data: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_schema(data)


def test_missing_schema_names_the_built_in_ones(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"invoice, receipt"):
        load_schema(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="not a JSON file"):
        load_schema(tmp_path / "broken.json")
