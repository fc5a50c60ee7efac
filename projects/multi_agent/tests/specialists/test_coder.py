"""The coder: runs programs of the task, and with a capable model writes and repairs its own."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from multi_agent.config import Config
from multi_agent.specialists import Context, Workspace
from multi_agent.specialists.coder import Coder, open_specialist, program_in
from multi_agent.state import Result, Step
from multi_agent.tools.sandbox import open_sandbox
from seedbed.errors import InvalidReply, ReplyRefused
from seedbed.models.scripted import ScriptedChatModel


class Tools:
    """`context.call` with the real sandbox, which records the programs."""

    def __init__(self) -> None:
        cache = Path(tempfile.gettempdir(), f"multi_agent-sandbox-{os.geteuid()}")
        self.sandbox = open_sandbox(cache)
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
    model = ScriptedChatModel(list(replies))
    step = Step(id="s1", specialist="coder", task=task)
    return Coder().work(step, Context(call=tools, model=model if replies else None)), model


@pytest.mark.parametrize(
    ("task", "program"),
    [
        ("Run this:\n```python\nprint(1)\n```\nThanks", "print(1)"),
        ("What does this print?\n```py\nx = 1\nprint(x)```", "x = 1\nprint(x)"),
        ("```\nprint(2)\n```", "print(2)"),
        ("Run this code: sum(range(10))", "sum(range(10))"),
        ("Please execute the following Python program:\nx = 3\nprint(x)", "x = 3\nprint(x)"),
        ("What is the output of `len('abc')`?", "len('abc')"),
        ("What does this Python code print: print(2 ** 10)", "print(2 ** 10)"),
        ("What is 15 % of 240?", ""),
        ("How many orders were placed in May?", ""),
        ("Which discount code: SAVE10 or SAVE20?", ""),
        ("What does ```sql\nSELECT 1\n``` return?", ""),
        ("How long may I take to return a python?", ""),
        ("", ""),
    ],
)
def test_coder_bids_for_tasks_with_a_program(task: str, program: str) -> None:
    assert program_in(task) == program
    assert (Coder().bid(task) > 0.9) == bool(program)


def test_program_of_the_task_is_run_without_a_model(tools: Tools) -> None:
    result, _ = work("Run this code: print('sum'); sum(range(10))", tools)

    assert (result.answer, result.number) == ("sum\n45", 45.0)
    assert result.evidence[0].text == "print('sum'); sum(range(10))"
    assert result.evidence[0].output == "sum\n45"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("1 / 0", "The program failed: ZeroDivisionError: division by zero"),
        ("x = 1", "The program printed nothing."),
        ("bytes(10**9)", "The program failed: MemoryError: "),
    ],
)
def test_failed_program_is_a_problem(code: str, problem: str, tools: Tools) -> None:
    result, _ = work(f"Run this code: {code}", tools)

    assert (result.answer, result.problem) == ("", problem.strip())


def test_task_without_program_needs_a_capable_model(tools: Tools) -> None:
    result, _ = work("Simulate 1000 dice.", tools)

    assert (
        result.problem == "The task contains no program, and the model is too small to write one."
    )
    assert tools.programs == []


def test_capable_model_writes_the_program(tools: Tools) -> None:
    result, model = work("Add the primes below 20.", tools, {"code": "print(77)"})

    assert (result.answer, result.number) == ("77", 77.0)
    assert "Add the primes below 20." in model.calls[0].text


def test_failed_program_is_repaired_with_its_error(tools: Tools) -> None:
    result, model = work("Add 1 and 2.", tools, {"code": "print(a)"}, {"code": "print(3)"})

    assert result.answer == "3"
    assert "name 'a' is not defined" in model.calls[1].text
    assert "print(a)" in model.calls[1].text
    assert result.evidence[0].text == "print(3)"


def test_repair_ends_after_two_attempts(tools: Tools) -> None:
    result, model = work("Add 1 and 2.", tools, *[{"code": f"print(a{n})"} for n in range(3)])

    assert result.problem == "The program failed: NameError: name 'a2' is not defined"
    assert (len(model.calls), len(tools.programs)) == (3, 3)


@pytest.mark.parametrize("reply", [InvalidReply("garbage"), None])
def test_model_that_writes_no_program_is_a_problem(reply: Any, tools: Tools) -> None:
    replies = [reply] if reply else [ReplyRefused("I cannot help with that.")]
    result, _ = work("Add 1 and 2.", tools, *replies)

    assert result.problem.startswith("The model did not write a program.")


def test_coder_is_absent_if_the_sandbox_is_off() -> None:
    assert open_specialist(Workspace(Config(sandbox="off"))) is None
    assert isinstance(open_specialist(Workspace(Config())), Coder)
