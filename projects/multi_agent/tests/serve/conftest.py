"""A team of one scripted specialist behind the real app, store, checkpoints and memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from multi_agent.brain import Progress, Refusal
from multi_agent.config import Config
from multi_agent.runs.checkpoints import open_checkpointer
from multi_agent.runs.state import Evidence, Result, Step
from multi_agent.runs.store import RunStore
from multi_agent.specialists import Context, Workspace
from multi_agent.team.team import Team
from multi_agent.tools.toolbox import tool_of
from seedbed.errors import RateLimited
from seedbed.settings import load

HOSTILE = "<img src=x onerror='window.ran=1'> ${window.ran=1} {{window.ran=1}}"


class Clerk:
    """Takes every task; a word in it decides what happens. `gate` lets slow steps go on."""

    name = "clerk"
    description = f"Takes every task. {HOSTILE}"

    def __init__(self) -> None:
        self.gate, self.started = threading.Event(), threading.Event()
        self.failed: set[str] = set()

    def work(self, step: Step, context: Context) -> Result:
        if "slow" in step.task:
            self.started.set()
            self.gate.wait(60)
        if "vendor" in step.task and step.task not in self.failed:
            self.failed.add(step.task)
            raise RateLimited("openai:gpt-4o-mini: rate limit reached.")
        if "impossible" in step.task:
            return Result(step=step.id, problem="There is no such table.")
        if "city" in step.task and not step.task.startswith("orders by"):
            options = ("orders by billing city", "orders by shipping city")
            raise Refusal("tie", f"Which city? {HOSTILE}", options)
        rows = 999 if "long" in step.task else 2
        text = context.call("look", query=step.task[:100], rows=rows)
        evidence = [
            Evidence(kind="tool", source=f"shop {HOSTILE}", text="SELECT city", output=text),
            Evidence(kind="tool", source="returns.md:12-14", text=HOSTILE),
        ]
        many = 20 if "long" in step.task else 1
        answer = f"42 orders {HOSTILE}" if "hostile" in step.task else "42 orders"
        return Result(
            step=step.id,
            answer=answer,
            number=42,
            reading="orders by city",
            evidence=tuple(evidence * many),
        )


class ClerkBrain:
    """Each question is a step for the clerk, after the one before if it is "of that"."""

    def plan(self, task: str, _team: Any, progress: Progress) -> tuple[Step, ...]:
        if "poem" in task:
            raise Refusal("No one writes poems.", "How would you put it?")
        questions = [text.strip() + "?" for text in task.split("?") if text.strip()]
        steps = tuple(
            Step(
                id=f"s{number}",
                specialist="clerk",
                task=question,
                after=(f"s{number - 1}",) if "of that" in question else (),
            )
            for number, question in enumerate(questions, 1)
        )
        return () if progress.plan else steps

    def complete(self, task: str, earlier: Any) -> str:
        return f"{earlier[-1]} {task}" if earlier and task.startswith("And") else task


def look(query: str, rows: int) -> str:  # noqa: ARG001
    """Look something up."""
    cities = "\n".join(f"Graz {HOSTILE} {number} | {number}" for number in range(rows))
    return f"city | orders\n{cities}"


@contextmanager
def open_clerk_team(folder: Path) -> Iterator[tuple[Team, Clerk]]:
    config, clerk = load(Config, data_dir=folder), Clerk()
    with ExitStack() as stack:
        store = RunStore(folder / "runs.sqlite")
        stack.callback(store.close)
        checkpointer = stack.enter_context(open_checkpointer(config))
        specialists: Any = {"clerk": clerk}
        parts = (config, Workspace(config), [tool_of(look)], store, checkpointer, specialists)
        brain: Any = ClerkBrain()
        team = Team(*parts, brain=brain)
        stack.callback(team.close)
        stack.callback(clerk.gate.set)
        yield team, clerk


@pytest.fixture(scope="module")
def clerk_team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    with open_clerk_team(tmp_path_factory.mktemp("team")) as (team, clerk):
        yield SimpleNamespace(team=team, clerk=clerk)


@pytest.fixture(scope="session")
def hostile() -> str:
    return HOSTILE
