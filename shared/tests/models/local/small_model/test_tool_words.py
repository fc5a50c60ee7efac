"""Decisions on tools by the words of the question."""

import pytest

from seedbed.models.local.small_model.tool_words import shares_value


@pytest.mark.parametrize(
    "call",
    [
        '{"name": "w", "arguments": {"city": "paris"}}',
        '{"name": "w", "arguments": {"at": ["New York"]}}',
        '{"city": "Oslo", "days": 12}',
    ],
)
def test_shares_value_finds_an_argument_in_the_question(call: str) -> None:
    assert shares_value(call, "The weather in Paris and in New York, 12 days")


@pytest.mark.parametrize(
    "call", ['{"city": "York New", "days": 1}', '{"name": "w", "arguments": {}}']
)
def test_shares_value_needs_a_whole_argument(call: str) -> None:
    assert not shares_value(call, "The weather in Paris and in New York, 12 days")
