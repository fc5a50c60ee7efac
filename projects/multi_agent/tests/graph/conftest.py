"""Teams of scripted specialists over a real store, ledger and checkpointer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from multi_agent.config import Config
from multi_agent.memory.memory import Memory
from multi_agent.runs.checkpoints import open_checkpointer
from multi_agent.runs.store import RunStore
from multi_agent.specialists import Context, Specialist, Workspace
from multi_agent.state import Evidence, Result, Step
from multi_agent.team.team import Team
from multi_agent.tools.toolbox import Tool
from seedbed.settings import load


@dataclass
class Scripted:
    """Bids for tasks that contain its name, less for two questions at once; works by a function."""

    name: str
    do: Callable[[Step, Context], Result | str]
    description: str = "Scripted."
    words: tuple[str, ...] = ()
    tasks: list[str] = field(default_factory=list)

    def bid(self, task: str) -> float:
        fits = any(word in task for word in (self.name, *self.words))
        return 0.9 * fits / max(1, task.count("?"))

    def work(self, step: Step, context: Context) -> Result:
        self.tasks.append(step.task)
        result = self.do(step, context)
        if isinstance(result, Result):
            return result
        evidence = (Evidence(kind="program", source="script", text=step.task),)
        return Result(step=step.id, answer=result, evidence=evidence)


def scripted_team(
    folder: Path,
    stack: ExitStack,
    specialists: list[Scripted],
    tools: list[Tool] | None = None,
    **options: Any,
) -> Team:
    names = {"asks", "verifies", "models", "lease_seconds"}
    settings = {k: v for k, v in options.items() if k not in names}
    config = load(Config, data_dir=folder, **settings)
    store = RunStore(config.database_url or folder / "runs.sqlite")
    stack.callback(store.close)
    checkpointer = stack.enter_context(open_checkpointer(config))
    memory = Memory(store.engine, kinds=config.memory)
    team: dict[str, Specialist] = {one.name: one for one in specialists}
    rest = {k: v for k, v in options.items() if k in names}
    built = Team(
        config,
        Workspace(config),
        tools or [],
        store,
        checkpointer,
        memory,
        specialists=team,
        **rest,
    )
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
