"""Files of tasks, and what counts as a right answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from multi_agent.evaluate.tasks import Task, read_tasks
from seedbed.errors import BadInput

LINE = {"id": "t1", "family": "data", "task": "How many?", "answers": ["7"]}


def task(**values: Any) -> Task:
    return Task.model_validate({"id": "t", "family": "calc", "task": "?"} | values)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: "),
        (json.dumps({"id": "t2", "family": "data"}), "line 2: task: Field required"),
        (json.dumps(LINE | {"numeric": "many"}), "line 2: numeric: "),
    ],
)
def test_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(f"{json.dumps(LINE)}\n{line}\n")
    with pytest.raises(BadInput) as error:
        read_tasks(path)
    assert f"{path}, {message}" in str(error.value) and "\n" not in str(error.value)


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
    assert task(**values).solved(answer, confident=True) is solved
