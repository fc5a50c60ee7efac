"""Tasks through a strict vendor's API, with replies as a good and as a mediocre model gives them.

The replies are files beside this one, one line per call, and were written by hand: this proves the
path, not a model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TASKS: dict[str, dict[str, Any]] = {
    task["id"]: task
    for path in (HERE.parents[1] / "eval/tasks.jsonl", HERE / "tasks.jsonl")
    for task in map(json.loads, path.read_text("utf-8").splitlines())
}
GOOD = sorted((HERE / "good").glob("*.jsonl"))
MEDIOCRE = sorted((HERE / "mediocre").glob("*.jsonl"))
ANSWERS = {
    "ask-01": ["How many customers live in Utrecht?"],
    "ask-02": ["payments received in April 2025, in euros"],
    "tool-02": ["allow"],
}
"""What the user answers."""


def is_right(task: dict[str, Any], answer: str) -> bool:
    """Whether an answer has the number or one of the patterns of a task."""
    digits = [float(text.replace(",", "")) for text in re.findall(r"\d[\d,]*(?:\.\d+)?", answer)]
    numeric = task.get("numeric")
    return any(
        re.search(pattern, answer, re.IGNORECASE) for pattern in task.get("answers", ())
    ) or (numeric is not None and any(abs(number - numeric) <= 0.005 for number in digits))


def test_there_are_replies_for_tasks_of_all_kinds() -> None:
    families = [TASKS[path.stem]["family"] for path in GOOD]
    assert len(GOOD) >= 24 and set(families) == {"calc", "data", "docs", "mixed"}
    assert len(MEDIOCRE) >= 6
    assert sum("unanswerable" in TASKS[path.stem] for path in GOOD) >= 2
    for prefix in ("tool-", "ask-"):
        assert sum(path.stem.startswith(prefix) for path in GOOD) >= 2


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_replies_solve_the_task(
    solve: Callable[..., Any],
    check_spent: Callable[[Any], None],
    mcp_servers: dict[str, str],
    path: Path,
) -> None:
    task = TASKS[path.stem]
    servers = mcp_servers if path.stem.startswith("tool-") else {}
    solved = solve(task["task"], path, ANSWERS.get(path.stem, ()), mcp_servers=servers)
    answer = solved.run.answer
    assert not solved.vendor.problems, "a request was refused, or had no reply"
    assert len(solved.vendor.calls) == len(path.read_text("utf-8").splitlines())
    assert answer.confident != ("unanswerable" in task)
    assert is_right(task, answer.text) or "unanswerable" in task, answer
    check_spent(solved)


@pytest.mark.parametrize("path", MEDIOCRE, ids=lambda path: path.stem)
def test_mediocre_replies_are_repaired_or_refused_and_never_wrong(
    solve: Callable[..., Any], check_spent: Callable[[Any], None], path: Path
) -> None:
    task = TASKS[path.stem]
    solved = solve(task["task"], path)
    answer = solved.run.answer
    assert not solved.vendor.problems, "a request was refused, or had no reply"
    assert is_right(task, answer.text) or not answer.confident, answer
    assert len(solved.vendor.calls) == len(path.read_text("utf-8").splitlines())
    check_spent(solved)
