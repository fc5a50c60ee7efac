"""Cutting a task into its questions."""

from __future__ import annotations

import pytest

from multi_agent.offline.plan.clauses import asks, clauses

ONE_QUESTION = [
    "How many orders were placed in May?",
    "Show the orders that were paid and are still open",
    "How many customers are older than 30 and live in Bern?",
    "What is the price of tents and backpacks?",
    "What is the sum of 3 and 4 and 5?",
    "Number of cancelled orders",
    "Three friends share 86.40 euros. Each of them pays the same. How much is that?",
    "Which customer spent the most? Give me the last name only.",
    "Run this:\n```python\nprint(1)\nprint('How many? And why?')\n```",
]


@pytest.mark.parametrize("task", ONE_QUESTION)
def test_single_question_stays_whole(task: str) -> None:
    assert clauses(f"  {task} ") == [task]


@pytest.mark.parametrize(
    ("task", "parts"),
    [
        (
            "How many orders came in May, and how long is the return window?",
            ["How many orders came in May", "how long is the return window?"],
        ),
        (
            "How many orders were cancelled, after how many days is an unpaid order cancelled, "
            "and what is 7 plus 8?",
            [
                "How many orders were cancelled",
                "after how many days is an unpaid order cancelled",
                "what is 7 plus 8?",
            ],
        ),
        (
            "How many tents are there? What is 12 times 14?",
            ["How many tents are there?", "What is 12 times 14?"],
        ),
        ("Count the orders; then list the cancelled ones.", None),
        ("How many orders came in May and is 12 even?", None),
        ("How many tents are there?\nHow many ropes are there?", None),
    ],
)
def test_questions_of_a_task_are_separated(task: str, parts: list[str] | None) -> None:
    pieces = clauses(task)
    assert pieces == parts if parts else len(pieces) == 2


def test_statement_stays_with_the_question_after_it() -> None:
    task = "How many tents are there? A train needs 2 hours for 150 km. How fast is it?"
    assert clauses(task) == [
        "How many tents are there?",
        "A train needs 2 hours for 150 km. How fast is it?",
    ]


def test_thanks_after_a_question_stay_with_it() -> None:
    task = "How many tents do we sell, and what do they weigh? Thanks a lot."
    assert clauses(task) == ["How many tents do we sell", "what do they weigh? Thanks a lot."]


def test_clause_that_begins_with_a_preposition_asks() -> None:
    assert asks("After all") is False
    assert asks("at which address do you live")
