"""The help desk's tools: definitions, schema, prompt and the one line an answer is."""

from __future__ import annotations

import pytest

from finetune_lora.helpdesk.tools import ARGUMENTS, call, system_prompt
from seedbed.errors import BadInput
from seedbed.models.prompts import load_prompt


def test_call_is_one_line_with_arguments_in_the_order_of_the_schema() -> None:
    line = call("refund_order", amount=49.9, order="A-2211", reason="late")
    assert line == (
        '{"name": "refund_order", '
        '"arguments": {"order": "A-2211", "reason": "late", "amount": 49.9}}'
    )
    assert call("none") == '{"name": "none", "arguments": {}}'


@pytest.mark.parametrize(
    ("tool", "arguments", "problem"),
    [
        ("refund_order", {"order": "2211"}, "'2211' does not match"),
        ("order_equipment", {"item": "screen"}, "'screen' is not one of"),
        ("reset_password", {"name": "mia"}, "'name' was unexpected"),
        ("make_coffee", {}, "make_coffee"),
    ],
)
def test_invalid_call_is_refused_with_its_problem(tool: str, arguments: dict, problem: str) -> None:
    with pytest.raises(BadInput) as raised:
        call(tool, **arguments)
    assert problem in str(raised.value)
    assert "reset_password" in str(raised.value)  # the tools that there are


def test_prompt_names_every_tool_and_argument() -> None:
    prompt = system_prompt()
    for tool, arguments in ARGUMENTS.items():
        assert f"{tool}({', '.join(arguments)})" in prompt
    assert load_prompt("finetune_lora", "helpdesk").version >= 1
    assert len(prompt) < 500  # every request pays for it
