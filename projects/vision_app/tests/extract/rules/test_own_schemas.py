"""JSON Schemas that pydantic makes or a user writes: the answer follows them."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field, create_model

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


@pytest.mark.parametrize("items", [True, {}, {"type": ["string", "null"]}])
def test_list_of_any_items_is_a_list_of_texts(post: Callable[..., Any], items: Any) -> None:
    schema = {"properties": {"names": {"type": "array", "items": items}}}
    assert post(DRAWING, schema).json()["fields"] == {"names": None}


@pytest.mark.timeout(60)
def test_pattern_of_a_schema_takes_linear_time(post: Callable[..., Any]) -> None:
    def send(pattern: str) -> Any:
        data = {"properties": {"code": {"type": "string", "pattern": pattern}}}
        return post(f" Code  {'a' * 40}\n", data).json()["fields"]

    assert send("^(([^!])+)+!$") == {"code": None}
    assert send("^(([^!])+)+$") == {"code": "a" * 40}
