"""Validation with schemas of strangers, against `jsonschema` itself."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from referencing.exceptions import Unresolvable

from seedbed.errors import BadInput, InvalidReply
from seedbed.structured.constrain import constrain
from seedbed.structured.schemas import parse_reply
from seedbed.structured.validator import is_valid, validator_for

SLOW = "^(a+)+$"
TEXT = "a" * 40 + "!"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": SLOW}, TEXT),
        ({"patternProperties": {SLOW: False}, "additionalProperties": False}, {TEXT: 1}),
        ({"patternProperties": {SLOW: True}, "additionalProperties": False}, {TEXT: 1}),
        ({"propertyNames": {"pattern": SLOW}}, {TEXT: 1}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"items": {"pattern": SLOW}}}}, [TEXT]),
    ],
)
def test_slow_pattern_is_matched_in_linear_time_in_every_keyword(schema: Any, value: Any) -> None:
    assert not is_valid(value, schema)


@pytest.mark.parametrize(
    "value", ["ab", "xaby", "b", 3, {"a1": 1}, {"a1": "x"}, {"b": 1}, {"p": 1}]
)
@pytest.mark.parametrize("additional", [True, False, {"type": "string"}])
def test_errors_are_those_of_jsonschema(value: Any, additional: Any) -> None:
    schema = {
        "pattern": "a",
        "properties": {"p": {"type": "integer"}},
        "patternProperties": {"^a": {"type": "integer"}},
        "additionalProperties": additional,
    }
    errors, expected = (
        [(error.json_path, error.validator) for error in validator.iter_errors(value)]
        for validator in (validator_for(schema), Draft202012Validator(schema))
    )
    assert errors == expected


def test_reference_to_another_address_is_not_fetched() -> None:
    with pytest.raises(Unresolvable):
        is_valid(1, {"$ref": "http://127.0.0.1:9/schema"})


def test_keywords_that_would_match_with_re_are_refused() -> None:
    with pytest.raises(BadInput, match="unevaluatedProperties beside patternProperties"):
        validator_for({"patternProperties": {SLOW: True}, "unevaluatedProperties": False})


@pytest.mark.timeout(20)
def test_constrain_validates_its_shortest_reply_in_linear_time() -> None:
    # 30 letters match the second branch; `re` tries the first one in 2 ** 30 ways before.
    constraint = constrain({"type": "string", "pattern": "^((a+)+b{40}|a{30})$"})
    assert constraint.finish("") == f'"{"a" * 30}"'


def test_reply_that_does_not_fit_a_class_is_refused_in_one_line():
    class Point(BaseModel):
        x: int
        y: int

    expected = r"does not fit Point: x: .*; y: Field required"
    with pytest.raises(InvalidReply, match=expected) as error:
        parse_reply('{"x": "one"}', Point)
    assert "\n" not in str(error.value)
