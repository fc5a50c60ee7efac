"""Schemas of users: their labels come first, and values may be lists and flags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vision_app.extract.rules.extract import extract
from vision_app.extract.schemas import parse_schema
from vision_app.ocr.page import Page

DELIVERY = """
 Delivery 4711
 Fahrer         M. Schröder
 Kennzeichen    HB-LM 2204
 Phone: +39 055 123 456
 Allergens: milk, nuts; soy
 Crew:
 Anna Kowalska
 Hendrik Bakker
 Fragile: yes
 [x] Frozen
 Returned: no
 Surname      Given names
 VAN DEN BERG ANNA MARIE
"""


@pytest.mark.parametrize(
    ("label", "data", "expected"),
    [
        ("Fahrer", {"type": "string"}, "M. Schröder"),
        ("Kennzeichen", {"type": "string"}, "HB-LM 2204"),
        ("Phone", {"type": "string"}, "+39 055 123 456"),
        ("Allergens", {"type": "array", "items": {"type": "string"}}, ["milk", "nuts", "soy"]),
        ("Crew", {"type": "array"}, ["Anna Kowalska", "Hendrik Bakker"]),
        ("Fragile", {"type": "boolean"}, True),
        ("Frozen", {"type": "boolean"}, True),
        ("Returned", {"type": ["boolean", "null"]}, False),
        ("Cooled", {"type": "boolean"}, None),
    ],
)
def test_value_next_to_a_label_of_the_user_is_read(
    page: Callable[..., Page], label: str, data: dict[str, Any], expected: object
) -> None:
    schema = parse_schema({"properties": {"value": {**data, "x-labels": [label]}}})
    extraction = extract([page(DELIVERY)], [], schema)
    assert extraction.fields == {"value": expected}
    assert bool(extraction.evidence) == (expected is not None)


def test_columns_of_a_grid_are_kept_apart(page: Callable[..., Page]) -> None:
    names = {"surname": {"x-labels": ["Surname"]}, "given": {"x-labels": ["Given names"]}}
    fields = extract([page(DELIVERY)], [], parse_schema({"properties": names})).fields
    assert fields == {"surname": "VAN DEN BERG", "given": "ANNA MARIE"}
