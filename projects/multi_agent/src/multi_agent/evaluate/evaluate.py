"""Measures the team on tasks with known answers.

    result = run(config, settings, Path("tasks.jsonl"), progress)
    result["families"]["data"]      # {"n": 30, "success": 0.9, "confident_wrong": 0.03}

`success` is the share of right answers, `confident_wrong` the share of wrong ones that were given
without a reservation.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from pydantic import BaseModel

from multi_agent.answer.compose import NO_ANSWER
from multi_agent.runs.state import Answer
from multi_agent.team.open_team import open_team
from seedbed.cli import Progress, table
from seedbed.files import read_models

if TYPE_CHECKING:
    from multi_agent.config import Config
    from seedbed.settings import Settings


Family = Literal["calc", "data", "docs", "mixed"]
_NUMBER = re.compile(r"[-−]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")


class Task(BaseModel):
    """One line of a file of tasks. Without an answer, right is one that is not confident.

    >>> Task(id="t1", family="calc", task="2 + 2?", numeric=4).solved("It is 4.", confident=True)
    True
    """

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
        numbers = [float(n.replace(",", "").replace("−", "-")) for n in _NUMBER.findall(answer)]
        near = self.numeric is not None and any(abs(n - self.numeric) <= 0.005 for n in numbers)
        return near or any(re.search(pattern, answer, flags) for pattern in self.answers)


class Outcome(NamedTuple):
    task: Task
    answer: Answer
    usage: dict[str, float]

    @property
    def solved(self) -> bool:
        return self.task.solved(self.answer.text, confident=self.answer.confident)


def run(config: Config, settings: Settings, file: Path, progress: Progress) -> dict[str, Any]:
    """The figures of `summary` for a file of tasks. Raises BadInput that names a wrong line."""
    tasks, outcomes = [task for _, task in read_models(file, Task)], []
    with tempfile.TemporaryDirectory(prefix="multi-agent-eval-") as folder:
        changes = {"data_dir": Path(folder), "database_url": None}
        with open_team(config.model_copy(update=changes), settings, asks=False) as team:
            for number, task in enumerate(tasks, 1):
                record = team.wait(team.start(task.task))
                answer = record.answer or Answer(text=record.reason, confident=False)
                outcomes.append(Outcome(task, answer, record.usage))
                progress(number, len(tasks), task.id)
    return summary(outcomes)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Success and confident wrong answers by family, tokens and seconds in all, every failure."""
    families = {}
    for family in get_args(Family):
        if some := [outcome for outcome in outcomes if outcome.task.family == family]:
            wrong = sum(o.answer.confident and not o.solved for o in some)
            families[family] = {
                "n": len(some),
                "success": round(sum(o.solved for o in some) / len(some), 4),
                "confident_wrong": round(wrong / len(some), 4),
            }
    failures = [
        {"id": o.task.id, "answer": o.answer.text, "confident": o.answer.confident}
        for o in outcomes
        if not o.solved
    ]
    tokens, seconds = (sum(o.usage[name] for o in outcomes) for name in ("tokens", "seconds"))
    costs = {"tokens": int(tokens), "seconds": round(seconds, 2)}
    return {"families": families, **costs, "failures": failures}


def to_text(result: dict[str, Any]) -> str:
    """The figures as a table for a terminal, with every failure."""
    rows = [(family, *shares.values()) for family, shares in result["families"].items()]
    failures = [
        (f["id"], "confident" if f["confident"] else "", f["answer"][:90])
        for f in result["failures"]
    ]
    figures = table(("family", "n", "success", "confident wrong"), rows)
    costs = f"{result['tokens']:,} tokens, {result['seconds']} s"
    return "\n\n".join([figures, costs, table(("task", "", "answer"), failures)])
