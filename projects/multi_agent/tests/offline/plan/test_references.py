"""References to an earlier answer, and the operand of a calculation."""

from __future__ import annotations

import pytest

from multi_agent.offline.plan.references import EARLIER, OPERAND, calculations


@pytest.mark.parametrize(
    ("text", "calculation"),
    [
        ("What is 15 % of that?", "What is 15 % of {}?"),
        ("What is 15 % of that amount?", "What is 15 % of {}?"),
        ("Divide it by 12.", "Divide {} by 12."),
        ("What is half of those?", "What is half of {}?"),
    ],
)
def test_reference_is_the_phrase_that_leaves_arithmetic(text: str, calculation: str) -> None:
    assert next(calculations(text, EARLIER))[1] == calculation


@pytest.mark.parametrize(
    "text",
    [
        "How many orders are that old?",
        "Does it exist for that country?",
        "Is it open on Sunday?",
        "What is 15 % of 240?",
    ],
)
def test_other_pronouns_are_not_references(text: str) -> None:
    assert list(calculations(text, EARLIER)) == []


@pytest.mark.parametrize(
    ("text", "noun", "calculation"),
    [
        (
            "What is 15 % of the total fines collected in 2024?",
            "the total fines collected in 2024",
            "What is 15 % of {}?",
        ),
        (
            "Add 3 percent to the price of the stove",
            "the price of the stove",
            "Add 3 percent to {}",
        ),
        ("What is half of the average price?", "the average price", "What is half of {}?"),
        (
            "What is the price of the rope after a discount of 8 percent?",
            "the price of the rope",
            "What is {} after a discount of 8 percent?",
        ),
    ],
)
def test_operand_is_the_longest_phrase_that_leaves_arithmetic(
    text: str, noun: str, calculation: str
) -> None:
    assert next(calculations(text, OPERAND)) == (noun, calculation)


@pytest.mark.parametrize(
    "text", ["How many orders are there?", "How many of the orders came in 2024?", "the", ""]
)
def test_question_without_calculation_has_no_operand(text: str) -> None:
    assert list(calculations(text, OPERAND)) == []
