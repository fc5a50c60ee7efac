"""The coder: runs programs of the task, and those that a brain writes and repairs."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from multi_agent.brain.llm import ModelBrain
from multi_agent.config import Config
from multi_agent.runs.state import Result, Step
from multi_agent.specialists import Context, Workspace
from multi_agent.specialists.coder import Coder, open_specialist
from seedbed.models.scripted import ScriptedChatModel

sandbox = pytest.importorskip("multi_agent.tools.sandbox.sandbox")


class Tools:
    """`context.call` with the real sandbox, which records the programs."""

    def __init__(self) -> None:
        cache = Path(tempfile.gettempdir(), f"multi_agent-sandbox-{os.geteuid()}")
        self.sandbox = sandbox.Sandbox(cache)
        self.programs: list[str] = []

    def __call__(self, name: str, **arguments: Any) -> Any:
        assert (name, self.sandbox is not None) == ("run_python", True)
        self.programs.append(arguments["code"])
        assert self.sandbox
        return asdict(self.sandbox.run(**arguments))


@pytest.fixture(scope="module")
def tools() -> Tools:
    return Tools()


def work(task: str, tools: Tools, *replies: Any) -> tuple[Result, ScriptedChatModel]:
    tools.programs.clear()
    model, workspace = ScriptedChatModel(list(replies)), Workspace(Config())
    step = Step(id="s1", specialist="coder", task=task)
    return Coder().work(step, Context(tools, ModelBrain(model, workspace))), model


@pytest.mark.parametrize(
    ("task", "program"),
    [
        ("Run this:\n```python\nprint(1)\n```\nThanks", "print(1)"),
        ("What does this print?\n```py\nx = 1\nprint(x)```", "x = 1\nprint(x)"),
        ("```\nprint(2)\n```", "print(2)"),
    ],
)
def test_program_in_a_fence_is_run_as_it_is(task: str, program: str, tools: Tools) -> None:
    _, model = work(task, tools)
    assert [code.strip() for code in tools.programs] == [program]
    assert not model.calls


def test_failed_program_is_repaired_with_its_error(tools: Tools, replies: Any) -> None:
    texts = replies.program("print(a)"), replies.program("print(3)")
    result, model = work("Add 1 and 2.", tools, *texts)
    assert result.answer == "3"
    assert "name 'a' is not defined" in model.calls[1].text
    assert "print(a)" in model.calls[1].text
    assert result.evidence[0].text == "print(3)"


def test_coder_is_absent_if_the_sandbox_is_off() -> None:
    assert open_specialist(Workspace(Config(sandbox="off"))) is None
    assert isinstance(open_specialist(Workspace(Config())), Coder)
