"""Arithmetic in words: tasks with their results, refusals, and programs that must not run."""

import re
from pathlib import Path

import pytest

from multi_agent.offline.arithmetic.calculate import calculate, looks_like_arithmetic
from seedbed.errors import BadInput, SeedbedError, TooLarge

LINES = Path(__file__).with_name("arithmetic_tasks.txt").read_text("utf-8").splitlines()
TASKS = [re.match(r"(.*) ([=≈]) (.*)", line).groups() for line in LINES]


@pytest.mark.parametrize(
    ("task", "sign", "result"), [task for task in TASKS if task[2] != "?"], ids=str
)
def test_task_has_its_result(task, sign, result):
    calculation = calculate(task)
    number = re.fullmatch(r"[€$]?(-?[\d.,]+)", result)
    if number is None:
        assert calculation.text == result
    else:
        tolerance = {"rel": 1e-12} if sign == "=" else {"rel": 1e-6}
        assert calculation.number == pytest.approx(float(number[1].replace(",", "")), **tolerance)


@pytest.mark.parametrize("task", [task for task, _, result in TASKS if result == "?"])
def test_task_beyond_the_phrases_is_refused(task):
    with pytest.raises(BadInput):
        calculate(task)


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("What is 10 / 4?", "2.5"),
        ("What is 10 / 3?", "≈ 3.3333"),
        ("What is 15 % of €8,230?", "€1,234.50"),
        ("Divide 100 euros among 3 people.", "≈ €33.33"),
        ("Convert 12000 m to km.", "12 km"),
        ("What percent of 80 is 12?", "15 percent"),
        ("What is 600 km at 100 km/h for 0 hours?", None),
    ],
)
def test_text_is_rounded_sensibly(task, text):
    if text is None:
        with pytest.raises(BadInput):
            calculate(task)
    else:
        assert calculate(task).text == text


def test_reading_says_what_was_computed():
    calculation = calculate("A coat of €80 is reduced by 25%. What does it cost now?")
    assert calculation.reading == "percentage: €80.00 * (1 - 25 percent) = €60.00"


def test_expression_computes_to_the_same_again():
    for task, _, result in TASKS:
        if result != "?" and "(" not in (expression := calculate(task).expression):
            try:
                again = calculate(expression)
            except SeedbedError:
                continue
            assert again.number == calculate(task).number


def test_refusal_names_the_words():
    with pytest.raises(BadInput, match="'revenue'"):
        calculate("What is 15% of the revenue?")


@pytest.mark.parametrize(
    "expression",
    [
        "9 ** 9 ** 9",
        "__import__('os').system('true')",
        "(1).__class__",
        "[x for x in (1, 2)]",
        "1 if 1 else 2",
        "'a' * 3",
        "factorial(10 ** 9)",
        "round(1, 10 ** 9)",
        "(" * 500 + "1" + ")" * 500,
        "1 / 0",
        "",
    ],
)
def test_expression_that_is_not_small_arithmetic_is_refused(expression):
    with pytest.raises(BadInput):
        evaluate_expression(expression)


def test_long_task_is_too_large():
    with pytest.raises(TooLarge):
        calculate("1 + " * 300_000 + "1")
    assert looks_like_arithmetic("1 + " * 300_000) == 0.0


def test_date_that_is_ambiguous_or_does_not_exist_is_refused():
    with pytest.raises(BadInput, match="ambiguous"):
        calculate("What is 5 days after 3/4/2025?")
    with pytest.raises(BadInput, match="does not exist"):
        calculate("What is 5 days after 31 February 2025?")


def test_units_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match="units"):
        calculate("What is 5 euros plus 3 dollars?")
