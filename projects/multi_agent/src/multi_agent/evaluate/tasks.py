"""Tasks with known answers, and whether an answer is right.

>>> task = Task(id="t1", family="calc", task="2 + 2?", numeric=4)
>>> task.solved("It is 4.", confident=True), task.solved("5", confident=True)
(True, False)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from multi_agent.answer.compose import NO_ANSWER
from seedbed.files import read_models

Family = Literal["calc", "data", "docs", "mixed"]
_NUMBER = re.compile(r"[-−]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Task(BaseModel):
    """One line of a file of tasks. Without an answer, right is one that is not confident."""

    id: str
    family: Family
    task: str
    answers: tuple[str, ...] = ()
    """Regular expressions, of which one has to occur in the answer, whatever the case."""
    must_not_match: tuple[str, ...] = ()
    """Regular expressions, of which none may occur."""
    numeric: float | None = None
    """A number that has to occur in the answer, to half a cent."""

    def solved(self, answer: str, *, confident: bool) -> bool:
        """Whether an answer is right."""
        if not self.answers and self.numeric is None:
            return not confident
        flags = re.IGNORECASE
        if any(re.search(pattern, answer, flags) for pattern in (*self.must_not_match, NO_ANSWER)):
            return False
        near = self.numeric is not None and any(
            abs(number - self.numeric) <= 0.005 for number in numbers(answer)
        )
        return near or any(re.search(pattern, answer, flags) for pattern in self.answers)


def numbers(text: str) -> list[float]:
    return [float(n.replace(",", "").replace("−", "-")) for n in _NUMBER.findall(text)]


def read_tasks(path: Path) -> list[Task]:
    """The tasks of a file. Raises BadInput that names the line."""
    return [task for _, task in read_models(path, Task)]
