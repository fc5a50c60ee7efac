"""Files of tasks, and what counts as a right answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from multi_agent.evaluate.tasks import Task, numbers, read_tasks
from seedbed.errors import BadInput

LINE = {"id": "t1", "family": "data", "task": "How many?", "answers": ["7"]}


def task(**values: Any) -> Task:
    return Task.model_validate({"id": "t", "family": "calc", "task": "?"} | values)


def test_file_has_the_format_of_the_hidden_set(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    extras: dict[str, Any] = {
        "must_not_match": [],
        "numeric": None,
        "tolerance": None,
        "gsm": True,
        "source": "x",
    }
    path.write_text(json.dumps(LINE | extras) + "\n\n" + json.dumps(LINE | {"id": "t2"}) + "\n")
    first, second = read_tasks(path)
    assert (first.answers, first.numeric, first.tolerance) == (("7",), None, None)
    assert second.id == "t2" and second.must_not_match == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: "),
        ("[1]", "line 2: a JSON list, not an object"),
        (json.dumps(LINE | {"answers": ["("]}), "line 2: not a regular expression: "),
        (json.dumps(LINE | {"must_not_match": ["["]}), "line 2: not a regular expression: "),
        (json.dumps(LINE | {"family": "poetry"}), "line 2: family: "),
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


def test_file_without_tasks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text("\n")
    with pytest.raises(BadInput, match="has no tasks"):
        read_tasks(path)
    with pytest.raises(BadInput, match="missing"):
        read_tasks(tmp_path / "missing.jsonl")


@pytest.mark.parametrize(
    ("values", "answer", "solved"),
    [
        ({"numeric": 36}, "36", True),
        ({"numeric": 36}, "It is €36.00.", True),
        ({"numeric": 36, "tolerance": None}, "36.004", True),
        ({"numeric": 36}, "36.01", False),
        ({"numeric": 36, "tolerance": 0.5}, "≈ 36.4", True),
        ({"numeric": 14, "tolerance": 0}, "14", True),
        ({"numeric": 14, "tolerance": 0}, "14.001", False),
        ({"numeric": 1234.5}, "1,234.50 EUR", True),
        ({"numeric": -3}, "−3", True),
        ({"numeric": 3}, "three", False),
        ({"answers": ["utrecht"]}, "Utrecht (12)", True),
        ({"answers": ["30 days", "a month"]}, "a month", True),
        ({"answers": ["30"], "must_not_match": ["14 days"]}, "30 days or 14 days", False),
        ({"answers": [], "numeric": 7, "must_not_match": ["EUR"]}, "7 EUR", False),
        ({"answers": ["twelve"], "numeric": 12}, "12", True),
        ({"numeric": 36}, "I can't answer that. What is 36 times x: Not understood.", False),
        ({"answers": ["an"]}, "I can't answer that.", False),
    ],
)
def test_answer_is_scored(values: dict[str, Any], answer: str, solved: bool) -> None:
    assert task(**values).solved(answer, confident=True) is solved


def test_task_without_an_answer_needs_an_abstention() -> None:
    for unanswerable in (task(), task(unanswerable=True, numeric=7)):
        assert unanswerable.solved("7", confident=False)
        assert not unanswerable.solved("7", confident=True)


def test_ranges_and_dates_are_read_as_numbers() -> None:
    assert numbers("30 to 60 days, 1.5e3") == [30, 60, 1500]
