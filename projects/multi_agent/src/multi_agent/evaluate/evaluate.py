"""Measures the team on tasks with known answers; `demo` does so for a few over the sample shop.

    result = run(config, settings, Path("tasks.jsonl"), progress)
    result["families"]["data"]      # {"n": 30, "success": 0.9, "confident_wrong": 0.03}

`success` is the share of right answers, `confident_wrong` the share of wrong ones that were given
without a reservation.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import typer
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
    """One line of a file of tasks. If it has no right answer, the team must not be confident.

    >>> Task(id="t1", family="calc", task="2 + 2?", numeric=4).solved("It is 4.", confident=True)
    True
    """

    id: str
    family: Family
    task: str
    answers: tuple[str, ...] = ()
    """Regular expressions of which at least one must match the answer; case is ignored."""
    must_not_match: tuple[str, ...] = ()
    """Regular expressions of which none may match."""
    numeric: float | None = None
    """A number that the answer must contain, within 0.005."""

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


DEMO = {
    "How many orders were placed in May 2025?": r"^14$",
    "How long is the return window for gold members?": r"60 days",
    "A jacket costs 279 euros. What is the price after a discount of 20 percent?": r"223\.20",
    "How many products are tents, and how long is the warranty on tents?": r"\b4\b.*\b5 years\b",
    "What is 15 % of the total amount of payments in 2024?": r"9,245\.06",
    "How much does shipping to Portugal cost?": "",
}
"""Tasks over the shop, and what the answer has to contain; "" for none to be given."""


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
    for number, outcome in enumerate(solve_all(config, settings, tasks), 1):
        outcomes.append(outcome)
        progress(number, len(tasks), outcome.task.id)
    return summary(outcomes)


def demo(config: Config, settings: Settings) -> int:
    """Print the answers to DEMO, each marked as right or wrong; return the number of wrong ones."""
    config = config.model_copy(update={"database": None, "documents": None})
    tasks = [
        Task(id="demo", family="mixed", task=t, answers=[p] if p else []) for t, p in DEMO.items()
    ]
    wrong = 0
    for outcome in solve_all(config, settings, tasks):
        wrong += not outcome.solved
        typer.echo(f"{'✓' if outcome.solved else '✗'} {outcome.task.task}")
        typer.echo(f"  {outcome.answer.text}")
        for line in outcome.answer.explanation.splitlines():
            typer.echo(f"    {line}")
    return wrong


def solve_all(config: Config, settings: Settings, tasks: Iterable[Task]) -> Iterator[Outcome]:
    """The outcome of each task, in a temporary folder of runs."""
    with tempfile.TemporaryDirectory(prefix="multi-agent-") as folder:
        changes = {"data_dir": Path(folder), "database_url": None}
        with open_team(config.model_copy(update=changes), settings, asks=False) as team:
            for task in tasks:
                record = team.wait(team.start(task.task))
                answer = record.answer or Answer(text=record.reason, confident=False)
                yield Outcome(task, answer, record.usage)


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Rates of success and confident errors by family, total tokens and seconds, all failures."""
    families = {}
    for family in get_args(Family):
        if members := [outcome for outcome in outcomes if outcome.task.family == family]:
            wrong = sum(o.answer.confident and not o.solved for o in members)
            families[family] = {
                "n": len(members),
                "success": round(sum(o.solved for o in members) / len(members), 4),
                "confident_wrong": round(wrong / len(members), 4),
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
