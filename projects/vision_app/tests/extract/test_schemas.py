"""Built-in schemas and those of users."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_app.extract.extract import extract
from vision_app.extract.schemas import load_schema, parse_schema
from vision_app.ocr.page import Page
from seedbed.errors import ConfigError, NotFound

CONTRACT = """
 Tenancy agreement
 Reference code:  TA-77
 Start of the lease:  1 May 2024
 Rent per month   EUR 950,00
 Rooms  3
 Bank account: DE12 6805 0101 0001 2345 67
"""


@pytest.mark.parametrize("name", ["invoice", "receipt"])
def test_built_in_schema_has_the_main_fields(name: str) -> None:
    names = {field.name for field in load_schema(name).fields}
    assert {"vendor", "invoice_number", "date", "total", "currency", "line_items"} <= names


def test_user_schema_is_filled_by_names_titles_and_labels(
    tmp_path: Path, page: Callable[..., Page]
) -> None:
    schema = {
        "type": "object",
        "properties": {
            "reference_code": {"type": "string"},
            "start": {"type": "string", "format": "date", "title": "Start of the lease"},
            "rent": {"type": "number", "description": "Rent per month"},
            "rooms": {"type": "integer"},
            "iban": {"type": "string", "x-labels": ["Bank account"], "pattern": "[A-Z]{2}[0-9 ]+"},
            "deposit": {"type": ["number", "null"]},
        },
    }
    path = tmp_path / "lease.json"
    path.write_text(json.dumps(schema), encoding="utf-8")
    assert extract([page(CONTRACT)], load_schema(path)).fields == {
        "reference_code": "TA-77",
        "start": "2024-05-01",
        "rent": 950.0,
        "rooms": 3,
        "iban": "DE12 6805 0101 0001 2345 67",
        "deposit": None,
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "invalid JSON Schema"),
        ({"type": "object"}, "not a JSON Schema of an object with properties"),
        ({"properties": {"x": {"type": "boolean"}}}, "property 'x' has the type 'boolean'"),
        ({"properties": {"x": {"pattern": "("}}}, "invalid"),
        ({"properties": {"x": {"pattern": r"(a)\1"}}}, "property 'x': .* a back-reference"),
        ({"properties": {"x": {"x-labels": "a"}}}, "x-labels is not a list of strings"),
        ({"properties": {"x": {"type": "nonsense"}}}, "invalid JSON Schema"),
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
