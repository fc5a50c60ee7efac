"""Arithmetic in words: each task has its result with its unit, or is refused; none has another."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multi_agent.brain import Refusal
from multi_agent.offline.arithmetic import looks_like_arithmetic, to_expression
from multi_agent.specialists.calculator import with_unit
from multi_agent.tools.evidence import strange_numbers
from multi_agent.tools.exact import evaluate
from seedbed.errors import BadInput

LINES = Path(__file__).with_name("arithmetic_tasks.txt").read_text("utf-8").splitlines()
TASKS = [tuple(line.rsplit(" = ", 1)) for line in LINES]
NUMBERS = st.integers(1, 99).map(str)
SYMBOLS = st.recursive(
    NUMBERS,
    lambda parts: st.tuples(parts, st.sampled_from("+-*/"), parts).flatmap(
        lambda sum: st.sampled_from([" ".join(sum), f"({' '.join(sum)})"])
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(("task", "result"), TASKS, ids=[task for task, _ in TASKS])
def test_task_has_its_result_or_is_refused(task, result):
    try:
        expression = to_expression(task)
    except Refusal:
        assert result == "REFUSED"
    else:
        value = evaluate(expression.text)
        assert with_unit(value.text, value.number, expression.unit) == result
        assert not strange_numbers(expression.text, task)


@settings(deadline=None)
@given(SYMBOLS)
def test_symbols_have_their_usual_precedence(symbols):
    try:
        value = evaluate(symbols).value
        expression = to_expression(f"What is 1 * ({symbols})?")
    except (BadInput, Refusal) as error:
        assert "zero" in str(error)
    else:
        assert evaluate(expression.text).value == value


def test_expression_is_written_without_needless_brackets():
    task = "A jacket costs 279 euros. What is the price after a discount of 20 percent?"
    assert to_expression(task).text == "279 * (1 - 20 / 100)"


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("What is 15% of the revenue?", r"Not understood: .*'revenue'"),
        ("What is the sum of 3 and 4 times 5?", "Not understood: .*'times'"),
        ("What is 15 % of 240 minus 20?", "Not understood: .*'minus'"),
        ("What is 5 days after 1 February 2025?", "Not understood: .*'february'"),
        ("How many days are there from 3 March to 17 March?", "Not understood: .*'march'"),
        ("What is (3 + 4?", "is not a formula"),
        ("What is 5 euros plus 3 dollars?", "USD cannot be converted to EUR"),
        ("How many days are in 3 months?", "Not understood: 'days'"),
        ("What is 5 divided by 0?", "division by zero"),
        ("How much is it?", "There is nothing to compute"),
        ("1 + " * 300_000 + "1", "The task has 1,200,001 characters"),
    ],
    ids=range(11),
)
def test_refusal_says_why(task, reason):
    with pytest.raises(Refusal, match=reason):
        to_expression(task)


def test_only_tasks_that_are_read_look_like_arithmetic():
    assert looks_like_arithmetic("What is 15 % of 240?") == 0.95
    assert looks_like_arithmetic("What is 15 % of 240 minus the rent?") == 0
    assert looks_like_arithmetic("How many orders were placed in May 2025?") == 0
    assert looks_like_arithmetic("1 + " * 300_000) == 0
