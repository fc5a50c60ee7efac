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
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from multi_agent.evaluate.single_agent import solve_alone
from multi_agent.evaluate.tasks import Family, Task, read_tasks
from multi_agent.runs.budget import Budget
from multi_agent.runs.state import Answer, Limits
from multi_agent.team.open_team import follows_instructions, open_team
from multi_agent.tools.toolbox import permission
from seedbed.cli import Progress, table
from seedbed.errors import ConfigError
from seedbed.runs.evaluation import paired_bootstrap

if TYPE_CHECKING:
    from multi_agent.config import Config
    from seedbed.settings import Settings

Solver = Callable[[str], tuple[Answer, int]]
"""A task to its answer and the number of tokens."""


class Outcome(NamedTuple):
    task: Task
    answer: Answer
    solved: bool
    tokens: int
    seconds: float


def run(
    config: Config, settings: Settings, file: Path, *, compare: bool = False, progress: Progress
) -> dict[str, Any]:
    """The figures of the team; with `compare`, those of a single agent and the team's lead too.

    Raises ConfigError if they are to be compared with a model that cannot follow instructions.
    """
    from seedbed.models.load import load_chat_model

    tasks = read_tasks(file)
    if compare and not follows_instructions(settings.model):
        hint = "Set SEEDBED_MODEL, e.g. openai:gpt-4o-mini."
        raise ConfigError(f"A single agent cannot work with {settings.model}.", hint=hint)
    with tempfile.TemporaryDirectory(prefix="multi-agent-eval-") as folder:
        changes = {"data_dir": Path(folder), "database_url": None}
        with open_team(config.model_copy(update=changes), settings, asks=False) as team:

            def together(task: str) -> tuple[Answer, int]:
                record = team.wait(team.start(task))
                answer = record.answer or Answer(text=record.reason, confident=False)
                return answer, int(record.usage.get("tokens", 0))

            outcomes = measure(tasks, together, progress)
            result = summary(outcomes)
            if not compare:
                return result
            model = load_chat_model(settings=settings)
            limits = Limits.parse(config.budget).model_dump(exclude={"steps"})
            # Only tools that need no permission, as no user is asked here.
            tools = [t for t in team.tools if permission(t, config.permissions) == "allow"]

            def alone(task: str) -> tuple[Answer, int]:
                budget = Budget(**limits)
                answer = solve_alone(task, model, tools, budget, team.workspace)
                return answer, int(budget.usage["tokens"])

            others = measure(tasks, alone, progress)
    lead = paired_bootstrap([float(o.solved) for o in outcomes], [float(o.solved) for o in others])
    value, *interval = (round(one, 4) for one in (lead.difference, lead.low, lead.high))
    figures = {"value": value, "interval": interval}
    return result | {"single_agent": summary(others), "lead_of_team": figures}


def measure(tasks: Sequence[Task], solve: Solver, progress: Progress) -> list[Outcome]:
    """The outcome of each task."""
    outcomes = []
    for number, task in enumerate(tasks, 1):
        started = time.perf_counter()
        answer, tokens = solve(task.task)
        solved = task.solved(answer.text, confident=answer.confident)
        outcomes.append(Outcome(task, answer, solved, tokens, time.perf_counter() - started))
        progress(number, len(tasks), task.id)
    return outcomes


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
    tokens, seconds = sum(o.tokens for o in outcomes), sum(o.seconds for o in outcomes)
    costs = {"tokens": tokens, "seconds": round(seconds, 2)}
    return {"families": families, **costs, "failures": failures}


def to_text(result: dict[str, Any]) -> str:
    """The figures as a table for a terminal, with every failure of the team."""
    rows: list[tuple[object, ...]] = []
    for name, one in (("team", result), ("single agent", result.get("single_agent"))):
        if one:
            rows += [(name, family, *shares.values()) for family, shares in one["families"].items()]
            rows.append((f"{name}: {one['tokens']:,} tokens, {one['seconds']} s", "", "", "", ""))
    failures = [
        (f["id"], "confident" if f["confident"] else "", f["answer"][:90])
        for f in result["failures"]
    ]
    parts = [table(("", "family", "n", "success", "confident wrong"), rows)]
    parts.append(table(("task", "", "answer"), failures))
    if lead := result.get("lead_of_team"):
        low, high = lead["interval"]
        parts.append(f"Lead of the team: {lead['value']} ({low} to {high})")
    return "\n\n".join(parts)
