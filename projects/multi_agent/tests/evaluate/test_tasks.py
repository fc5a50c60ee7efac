"""What counts as a right answer."""

from __future__ import annotations

from typing import Any

import pytest

from multi_agent.evaluate.evaluate import Task


@pytest.mark.parametrize(
    ("values", "answer", "solved"),
    [
        ({"numeric": 36}, "36", True),
        ({"numeric": 36}, "It is €36.00.", True),
        ({"numeric": 36}, "36.01", False),
        ({"numeric": 1234.5}, "1,234.50 EUR", True),
        ({"numeric": -3}, "−3", True),
        ({"answers": ["utrecht"]}, "Utrecht (12)", True),
        ({"answers": ["twelve"], "numeric": 12}, "12", True),
        ({"numeric": 36}, "I can't answer that. What is 36 times x: Not understood.", False),
        ({"answers": ["an"]}, "I can't answer that.", False),
    ],
)
def test_answer_is_scored(values: dict[str, Any], answer: str, solved: bool) -> None:
    task = Task.model_validate({"id": "t", "family": "calc", "task": "?"} | values)
    assert task.solved(answer, confident=True) is solved
