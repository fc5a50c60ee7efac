"""Validation against untrusted schemas: linear time, and nothing is fetched."""

from typing import Any

import pytest
from pydantic import BaseModel
from referencing.exceptions import Unresolvable

from seedbed.errors import BadInput, InvalidReply
from seedbed.structured.schemas import parse_reply
from seedbed.structured.validator import is_valid

SLOW = "^(a+)+$"
TEXT = "a" * 40 + "!"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": SLOW}, TEXT),
        ({"propertyNames": {"pattern": SLOW}}, {TEXT: 1}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"items": {"pattern": SLOW}}}}, [TEXT]),
    ],
)
def test_slow_pattern_is_matched_in_linear_time(schema: Any, value: Any) -> None:
    assert not is_valid(value, schema)


def test_reference_to_another_address_and_keywords_matched_with_re_are_refused() -> None:
    with pytest.raises(Unresolvable):
        is_valid(1, {"$ref": "http://127.0.0.1:9/schema"})
    with pytest.raises(BadInput, match="patternProperties is not supported"):
        is_valid(1, {"patternProperties": {SLOW: True}})


def test_reply_that_does_not_fit_a_class_is_refused_in_one_line() -> None:
    class Point(BaseModel):
        x: int
        y: int

    expected = r"does not fit Point: x: .*; y: Field required"
    with pytest.raises(InvalidReply, match=expected) as error:
        parse_reply('{"x": "one"}', Point)
    assert "\n" not in str(error.value)
