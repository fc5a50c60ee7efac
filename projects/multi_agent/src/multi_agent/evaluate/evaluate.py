"""Measures the team on tasks with known answers, against one agent with the same tools and budget.

    result = run(config, settings, Path("tasks.jsonl"), compare=True)
    result["families"]["data"]      # {"n": 30, "success": 0.9, "confident_wrong": 0.03}

`success` is the share of right answers, `confident_wrong` the share of wrong ones that were given
without a reservation. The intervals of the comparison are of paired differences.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from multi_agent.evaluate.single_agent import SingleAgent
from multi_agent.evaluate.tasks import Family, Task, read_tasks
from multi_agent.runs.budget import Budget
from multi_agent.state import Answer, Limits
from multi_agent.team.open_team import open_team
from multi_agent.team.team import Team
from seedbed.cli import Progress, table
from seedbed.runs.evaluation import Figure, Report, log_to_mlflow, paired_bootstrap

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from multi_agent.config import Config
    from seedbed.settings import Settings


@dataclass(frozen=True)
class Outcome:
    """What became of a task."""

    task: Task
    answer: Answer
    tokens: int
    seconds: float

    @property
    def solved(self) -> bool:
        """Whether the answer is right."""
        return self.task.solved(self.answer.text, confident=self.answer.confident)

    @property
    def confident_wrong(self) -> bool:
        """Whether a wrong answer was given without a reservation."""
        return self.answer.confident and not self.solved


def run(
    config: Config,
    settings: Settings,
    tasks_file: Path,
    *,
    compare: bool = False,
    progress: Progress,
) -> dict[str, Any]:
    """The figures of the team; with `compare`, those of the other systems too."""
    from seedbed.models.chat.load import load_chat_model

    tasks = read_tasks(tasks_file)
    single = load_chat_model(settings=settings) if compare else None
    with tempfile.TemporaryDirectory(prefix="multi-agent-eval-") as folder:
        # Without memory, so that no task depends on those before it.
        changes = {"data_dir": Path(folder), "database_url": None, "memory": ""}
        with open_team(config.model_copy(update=changes), settings, asks=False) as team:
            outcomes = {"team": measure(tasks, team_solver(team), progress)}
            if single:
                team.verifies = False
                solver = team_solver(team)
                outcomes["team without verification"] = measure(tasks, solver, progress)
                outcomes["single agent"] = measure(tasks, single_solver(team, single), progress)
    result = summary(outcomes["team"])
    if compare:
        result["comparison"] = comparison(outcomes)
    log_to_mlflow(report(outcomes["team"]), "multi_agent")
    return result


Solver = Callable[[str], tuple[Answer, int]]
"""A task to its answer and the number of tokens."""


def team_solver(team: Team) -> Solver:
    """Tasks go to the team. A run without an answer counts as one that is not confident."""

    def solve(task: str) -> tuple[Answer, int]:
        record = team.wait(team.start(task))
        answer = record.answer or Answer(text=record.reason, confident=False)
        return answer, int(record.usage.get("tokens", 0))

    return solve


def single_solver(team: Team, model: BaseChatModel) -> Solver:
    """Tasks go to one agent with the model and budget of the team.

    It has the tools that the team may use without asking, as nobody answers here.
    """
    limits = Limits.parse(team.config.budget).model_dump(exclude={"steps"})
    allowed = team.config.permissions
    tools = [
        tool
        for tool in team.tools
        if allowed.get(tool.name, "ask" if tool.effects else "allow") == "allow"
    ]

    def solve(task: str) -> tuple[Answer, int]:
        budget = Budget(**limits)
        answer = SingleAgent(model, tools, budget, team.workspace).solve(task)
        return answer, int(budget.usage["tokens"])

    return solve


def measure(tasks: Sequence[Task], solve: Solver, progress: Progress) -> list[Outcome]:
    """The outcome of each task."""
    outcomes = []
    for number, task in enumerate(tasks, 1):
        started = time.perf_counter()
        answer, tokens = solve(task.task)
        outcomes.append(Outcome(task, answer, tokens, time.perf_counter() - started))
        progress(number, len(tasks), task.id)
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Success and confident wrong answers by family, tokens and seconds in all, every failure."""
    families = {}
    for family in get_args(Family):
        some = [o for o in outcomes if o.task.family == family]
        if some:
            families[family] = {
                "n": len(some),
                "success": round(sum(o.solved for o in some) / len(some), 4),
                "confident_wrong": round(sum(o.confident_wrong for o in some) / len(some), 4),
            }
    failures = [
        {"id": o.task.id, "answer": o.answer.text, "confident": o.answer.confident}
        for o in outcomes
        if not o.solved
    ]
    return {
        "families": families,
        "tokens": sum(o.tokens for o in outcomes),
        "seconds": round(sum(o.seconds for o in outcomes), 2),
        "failures": failures,
    }


def comparison(outcomes: dict[str, list[Outcome]]) -> list[dict[str, Any]]:
    """Each system by family and in all, with the team's lead and its 95 % interval."""
    rows = []
    for name, system in outcomes.items():
        for family in (*get_args(Family), "all"):
            pairs = [
                (o, t)
                for o, t in zip(system, outcomes["team"], strict=True)
                if family in (o.task.family, "all")
            ]
            if not pairs:
                continue
            lead = paired_bootstrap(
                [float(t.solved) for _, t in pairs], [float(o.solved) for o, _ in pairs], n=2000
            )
            rows.append(
                {
                    "system": name,
                    "family": family,
                    "n": len(pairs),
                    "success": round(sum(o.solved for o, _ in pairs) / len(pairs), 4),
                    "confident_wrong": round(
                        sum(o.confident_wrong for o, _ in pairs) / len(pairs), 4
                    ),
                    "lead_of_team": round(lead.difference, 4),
                    "interval": [round(lead.low, 4), round(lead.high, 4)],
                    "tokens": sum(o.tokens for o, _ in pairs),
                    "seconds": round(sum(o.seconds for o, _ in pairs), 2),
                }
            )
    return rows


def report(outcomes: Sequence[Outcome]) -> Report:
    """The figures with their intervals, for MLflow and the terminal."""
    figures = dict[str, Figure]()
    for family in get_args(Family):
        some = [o for o in outcomes if o.task.family == family]
        if some:
            figures[f"{family} success"] = Figure.share(sum(o.solved for o in some), len(some))
            wrong = sum(o.confident_wrong for o in some)
            figures[f"{family} confident wrong"] = Figure.share(wrong, len(some))
    cases = [{"id": o.task.id, "solved": int(o.solved)} for o in outcomes]
    return Report("multi_agent", figures, cases)


def to_text(result: dict[str, Any]) -> str:
    """The figures as tables for a terminal, with every failure."""
    rows = [
        (name, f["n"], f["success"], f["confident_wrong"]) for name, f in result["families"].items()
    ]
    parts = [table(("family", "n", "success", "confident wrong"), rows)]
    parts.append(f"{result['tokens']:,} tokens, {result['seconds']} s")
    if comparisons := result.get("comparison"):
        names = (
            "system family n success confident_wrong lead_of_team interval tokens seconds".split()
        )
        parts.append(table(names, [[str(row[name]) for name in names] for row in comparisons]))
    failures = [
        (f["id"], "confident" if f["confident"] else "", f["answer"][:90])
        for f in result["failures"]
    ]
    return "\n\n".join([*parts, table(("task", "", "answer"), failures)])
