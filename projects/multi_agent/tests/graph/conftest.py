"""Teams of scripted specialists over a real store, ledger and checkpointer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from multi_agent.brain import Progress, Refusal
from multi_agent.config import Config
from multi_agent.runs.checkpoints import open_checkpointer
from multi_agent.runs.state import Evidence, Result, Step
from multi_agent.runs.store import RunStore
from multi_agent.specialists import Context, Specialist, Workspace
from multi_agent.team.team import Team
from multi_agent.tools.toolbox import Tool
from seedbed.settings import load


@dataclass
class Scripted:
    """Takes questions that contain its name or one of its words; works by a function."""

    name: str
    do: Callable[[Step, Context], Result | str]
    description: str = "Scripted."
    words: tuple[str, ...] = ()
    tasks: list[str] = field(default_factory=list)

    def work(self, step: Step, context: Context) -> Result:
        self.tasks.append(step.task)
        result = self.do(step, context)
        if isinstance(result, Result):
            return result
        evidence = (Evidence(kind="tool", source="script", text=step.task),)
        return Result(step=step.id, answer=result, evidence=evidence)


class QuestionBrain:
    """Each question is a step for the specialist named in it; "of that" is the answer before."""

    def plan(self, task: str, team: list[Scripted], progress: Progress) -> tuple[Step, ...]:
        if progress.plan:
            others = {
                step.id: other.name
                for step in progress.plan
                if step.id in progress.results and step.id not in progress.done
                for other in self._takers(step.task, team)
                if other.name != step.specialist
            }
            return tuple(
                step.model_copy(update={"specialist": others.get(step.id, step.specialist)})
                for step in progress.plan
                if others and step.id not in progress.done
            )
        steps: list[Step] = []
        for number, question in enumerate(task.split("? "), 1):
            if takers := self._takers(question, team):
                last = (f"s{number - 1}",) if "of that" in question else ()
                text = question.rstrip("?") + "?"
                text = text.replace("of that", f"of {{s{number - 1}}}")
                name = takers[0].name
                steps.append(Step(id=f"s{number}", specialist=name, task=text, after=last))
        if not steps:
            raise Refusal("Nobody takes that.")
        return tuple(steps)

    def complete(self, task: str, earlier: Any) -> str:  # noqa: ARG002
        return task

    @staticmethod
    def _takers(question: str, team: list[Scripted]) -> list[Scripted]:
        return [one for one in team if any(word in question for word in (one.name, *one.words))]


def scripted_team(
    folder: Path,
    stack: ExitStack,
    specialists: list[Scripted],
    tools: list[Tool] | None = None,
    **options: Any,
) -> Team:
    names = {"asks", "models", "lease_seconds", "brain"}
    settings = {k: v for k, v in options.items() if k not in names}
    config = load(Config, data_dir=folder, **settings)
    store = RunStore(config.database_url or folder / "runs.sqlite")
    stack.callback(store.close)
    checkpointer = stack.enter_context(open_checkpointer(config))
    team: dict[str, Specialist] = {one.name: one for one in specialists}
    rest = {"brain": QuestionBrain()} | {k: v for k, v in options.items() if k in names}
    parts = (config, Workspace(config), tools or [], store, checkpointer, team)
    built = Team(*parts, **rest)
    stack.callback(built.close)
    return built


@pytest.fixture
def open_scripted(tmp_path: Path) -> Iterator[Callable[..., Team]]:
    with ExitStack() as stack:
        yield lambda specialists, tools=None, **options: scripted_team(
            tmp_path, stack, specialists, tools, **options
        )


@pytest.fixture(scope="session")
def scripted() -> type[Scripted]:
    return Scripted
