"""Measures the team on tasks with known answers, against one agent with the same tools and budget.

    result = run(config, settings, Path("tasks.jsonl"), compare=True)
    result["families"]["data"]      # {"n": 30, "success": 0.9, "confident_wrong": 0.03}

`success` is the share of right answers, `confident_wrong` the share of wrong ones that were given
without a reservation.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from multi_agent.evaluate.single_agent import solve_alone
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

Solver = Callable[[str], tuple[Answer, int]]
"""A task to its answer and the number of tokens."""


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
    """The figures of the team; with `compare`, those of a single agent and the team's lead too."""
    from seedbed.models.load import load_chat_model

    tasks = read_tasks(tasks_file)
    single = load_chat_model(settings=settings) if compare else None
    with tempfile.TemporaryDirectory(prefix="multi-agent-eval-") as folder:
        # With a memory of its own, which learns from no task of a file.
        changes = {"data_dir": Path(folder), "database_url": None}
        with open_team(config.model_copy(update=changes), settings, asks=False) as team:
            outcomes = measure(tasks, team_solver(team), progress)
            others = measure(tasks, single_solver(team, single), progress) if single else []
    result = summary(outcomes)
    log_to_mlflow(report(result), "multi_agent")
    return result | (comparison(outcomes, others) if others else {})


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
        answer = solve_alone(task, model, tools, budget, team.workspace)
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
        if some := [outcome for outcome in outcomes if outcome.task.family == family]:
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


def comparison(team: Sequence[Outcome], single: Sequence[Outcome]) -> dict[str, Any]:
    """The figures of a single agent, and how much larger the team's share of right answers is."""
    lead = paired_bootstrap([float(o.solved) for o in team], [float(o.solved) for o in single])
    interval = [round(lead.low, 4), round(lead.high, 4)]
    return {
        "single_agent": summary(single),
        "lead_of_team": {"value": round(lead.difference, 4), "interval": interval},
    }


def report(result: dict[str, Any]) -> Report:
    """The shares of the team with their intervals, for MLflow."""
    return Report(
        "multi_agent",
        {
            f"{family} {name}": Figure.share(round(figures[name] * figures["n"]), figures["n"])
            for family, figures in result["families"].items()
            for name in ("success", "confident_wrong")
        },
    )


def to_text(result: dict[str, Any]) -> str:
    """The figures as a table for a terminal, with every failure of the team."""
    systems = {"team": result}
    if "single_agent" in result:
        systems["single agent"] = result["single_agent"]
    rows = [
        (name, family, f["n"], f["success"], f["confident_wrong"])
        for name, system in systems.items()
        for family, f in system["families"].items()
    ]
    costs = [(name, f"{s['tokens']:,}", s["seconds"]) for name, s in systems.items()]
    failures = [
        (f["id"], "confident" if f["confident"] else "", f["answer"][:90])
        for f in result["failures"]
    ]
    parts = [
        table(("", "family", "n", "success", "confident wrong"), rows),
        table(("", "tokens", "seconds"), costs),
        table(("task", "", "answer"), failures),
    ]
    if lead := result.get("lead_of_team"):
        low, high = lead["interval"]
        parts.append(f"Lead of the team: {lead['value']} ({low} to {high})")
    return "\n\n".join(parts)
