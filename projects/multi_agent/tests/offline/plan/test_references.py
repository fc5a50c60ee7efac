"""References to an earlier answer, and the operand of a calculation."""

from __future__ import annotations

import pytest

from multi_agent.offline.plan.references import operand, refer, refers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is 15 % of that?", "What is 15 % of {s1}?"),
        ("Divide it by 12.", "Divide {s1} by 12."),
        ("How much is 3 times the result?", None),
        ("Add 19 % to that amount", "Add 19 % to {s1}"),
        ("Convert the result to dollars", "Convert {s1} to dollars"),
        ("What is half of those?", "What is half of {s1}?"),
    ],
)
def test_reference_becomes_the_place_of_the_answer(text: str, expected: str | None) -> None:
    assert refers(text) == (expected is not None)
    assert refer(text, "s1") == (expected or text)


@pytest.mark.parametrize(
    "text",
    [
        "How many orders are that old?",
        "Does it exist for that country?",
        "Is it open on Sunday?",
        "What is that thing?",
    ],
)
def test_other_pronouns_are_not_references(text: str) -> None:
    assert not refers(text)


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
        ("Half of the average price of a tent", "the average price of a tent", "Half of {}"),
        (
            "How much is the heaviest tent in pounds?",
            "the heaviest tent",
            "How much is {} in pounds?",
        ),
        (
            "What is the price of the rope after a discount of 8 percent?",
            "the price of the rope",
            "What is {} after a discount of 8 percent?",
        ),
        (
            "If the revenue of 2024 were 10 % higher, how much would it be?",
            "the revenue of 2024",
            "What is {} increased by 10 %?",
        ),
        (
            "Suppose the average salary fell by 3 percent. What would it be?",
            "the average salary",
            "What is {} decreased by 3 percent?",
        ),
    ],
)
def test_operand_is_separated_from_its_calculation(text: str, noun: str, calculation: str) -> None:
    assert operand(text) == (noun, calculation)


@pytest.mark.parametrize(
    "text", ["How many orders are there?", "What is 15 % of 240?", "What is the capital?"]
)
def test_question_without_operand_has_none(text: str) -> None:
    assert operand(text) is None
