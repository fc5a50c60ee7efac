"""The help desk's tools: definitions, schema, prompt and the one line an answer is."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from finetune_lora.helpdesk.tools import (
    ARGUMENTS,
    CALL_SCHEMA,
    call,
    problems,
    system_prompt,
)
from seedbed.errors import BadInput
from seedbed.models.prompts import load_prompt


def test_call_schema_is_valid_and_has_a_branch_for_each_tool() -> None:
    Draft202012Validator.check_schema(CALL_SCHEMA)
    names = [branch["properties"]["name"]["const"] for branch in CALL_SCHEMA["anyOf"]]
    assert names == list(ARGUMENTS)


def test_a_call_is_one_line_with_arguments_in_the_schemas_order() -> None:
    line = call("refund_order", amount=49.9, order="A-2211", reason="late")
    assert line == (
        '{"name": "refund_order", '
        '"arguments": {"order": "A-2211", "reason": "late", "amount": 49.9}}'
    )
    assert call("none") == '{"name": "none", "arguments": {}}'


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("refund_order", {"order": "2211"}, "'2211' does not match"),
        ("order_equipment", {"item": "screen"}, "'screen' is not one of"),
        ("order_equipment", {"item": "mouse", "quantity": 0}, "0 is less than the minimum"),
        ("reset_password", {"name": "mia"}, "'name' was unexpected"),
        ("none", {"user": "mia"}, "'user' was unexpected"),
        ("make_coffee", {}, "make_coffee"),
    ],
)
def test_a_call_that_breaks_the_schema_says_how(tool: str, arguments: dict, named: str) -> None:
    with pytest.raises(BadInput) as raised:
        call(tool, **arguments)
    assert named in str(raised.value)
    assert "reset_password" in str(raised.value)  # the tools that there are


def test_problems_name_the_argument_and_not_the_whole_schema() -> None:
    wrong = problems({"name": "book_callback", "arguments": {"hour": 25, "day": "someday"}})
    assert any("25" in line for line in wrong)
    assert any("someday" in line for line in wrong)
    assert problems({"name": "book_callback", "arguments": {"hour": 15}}) == []


def test_the_prompt_names_every_tool_and_argument() -> None:
    prompt = system_prompt()
    for tool, arguments in ARGUMENTS.items():
        assert f"{tool}({', '.join(arguments)})" in prompt
    assert load_prompt("finetune_lora", "helpdesk").version >= 1
    assert len(prompt) < 500  # every request pays for it
