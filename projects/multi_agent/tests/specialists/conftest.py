"""A step of the operator as in a run: real ledger and toolbox, a model behind a vendor's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from multi_agent.brain.llm import ModelBrain
from multi_agent.config import Config
from multi_agent.runs.budget import Budget
from multi_agent.runs.ledger import Ledger
from multi_agent.runs.record_model import RecordedModel
from multi_agent.runs.state import Result, Step
from multi_agent.runs.store import RunStore
from multi_agent.specialists import Context, Workspace
from multi_agent.specialists.operator import Operator
from multi_agent.tools.toolbox import Tool, ToolBox
from seedbed.models.load import load_chat_model
from seedbed.settings import Settings, load
from seedbed.testing.vendor.script import Replies
from seedbed.testing.vendor.server import Vendor, launch_vendor

OPENAI, ANTHROPIC = "openai:gpt-4o-mini", "anthropic:claude-haiku-4-5"


@dataclass
class OperatorRun:
    """One run with one step; `work` does the step, as often as the graph would."""

    vendor: Vendor
    spec: str
    tools: Sequence[Tool]
    store: RunStore
    permissions: dict[str, Any]
    limits: dict[str, float]
    decisions: dict[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    """Tools that were really called, not answered from the record."""

    def __post_init__(self) -> None:
        self.id = self.store.create("task").id

    def work(self, task: str = "What is the weather in Bern?") -> Result:
        """Do the step, with the model calls and tool calls of earlier attempts on record."""
        return Operator(self.tools).work(self.step(task), self.context())

    def step(self, task: str) -> Step:
        return Step(id="s1", specialist="operator", task=task)

    def context(self) -> Context:
        budget, ledger = Budget(**self.limits), Ledger(self.store, self.id)
        toolbox = ToolBox(self.tools, ledger, self.permissions, budget, self._emit)
        for key, answer in self.decisions.items():
            toolbox.decide(key, answer)
        url = self.vendor.url if self.spec == ANTHROPIC else f"{self.vendor.url}/v1"
        model = load_chat_model(self.spec, settings=Settings(base_url=url, _env_file=None))
        recorded = RecordedModel(model=model, role="operator", ledger=ledger)
        brain = ModelBrain(recorded, Workspace(load(Config)))
        return Context(call=partial(toolbox.call, "s1"), brain=brain, model=recorded)

    def _emit(self, kind: str, _step: str, **data: Any) -> None:
        if kind == "tool_started":
            self.calls.append(data["tool"])


OpenOperator = Callable[..., OperatorRun]


@pytest.fixture
def open_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenOperator]:
    """Opens a run of the operator with tools and the replies of the vendor's model."""
    for vendor in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{vendor}_API_KEY", "test-key")
    with ExitStack() as stack:
        store = RunStore(tmp_path / "runs.sqlite")
        stack.callback(store.close)

        def open_run(
            tools: Sequence[Tool],
            replies: Replies,
            *,
            spec: str = OPENAI,
            permissions: dict[str, Any] | None = None,
            **limits: float,
        ) -> OperatorRun:
            vendor = stack.enter_context(launch_vendor(replies))
            given = permissions or {}
            return OperatorRun(vendor, spec, tools, store, given, limits)

        yield open_run
