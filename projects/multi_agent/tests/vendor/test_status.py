"""How a run ends when its vendor fails or its budget is used up, and how it is resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from multi_agent.__main__ import app, main
from seedbed.errors import Conflict
from seedbed.testing.launch import run_command
from seedbed.testing.vendor.script import Item, Reply, Script, read_replies
from seedbed.testing.vendor.server import launch_vendor

QUESTION = "How long is the return window"
TASK = f"How many orders were placed in May 2025? {QUESTION} for gold members?"
PLAN, QUERY, QUOTE = read_replies(Path(__file__).parent / "good/mixed-01.jsonl")
ANSWER = "14; 60 days"
REFUSED = Reply(fault="401", match=f"Question: {QUESTION}")
Solve = Callable[..., Any]


def kinds(solved: Any) -> list[str]:
    return [event.kind for event in solved.team.store.events(solved.run.id)]


def test_run_whose_vendor_fails_keeps_what_it_found_and_is_resumed(solve: Solve) -> None:
    solved = solve(TASK, [PLAN, QUERY, REFUSED])
    run = solved.run
    assert run.status == "failed" and run.ended_at
    assert run.reason.startswith("openai:gpt-4o-mini") and run.reason.count("\n") == 0
    assert run.answer.text.startswith(f"14; (no answer to: {QUESTION}")
    assert not run.answer.confident
    assert kinds(solved)[-2:] == ["answer", "failed"]
    # Only what failed is done again, and everything counts for the one budget.
    again = solve.resume(solved, [QUOTE])
    assert (again.run.status, again.run.reason) == ("done", "")
    assert again.run.answer.text == ANSWER and again.run.answer.confident
    assert len(again.vendor.calls) == 1
    assert again.run.usage["tokens"] > run.usage["tokens"] > 0
    assert again.run.usage["steps"] == 3
    with pytest.raises(Conflict, match="cannot be resumed; it is done"):
        again.team.resume(run.id)


def test_run_whose_planner_fails_is_resumed(solve: Solve) -> None:
    solved = solve(TASK, [Reply(fault="401")])
    assert (solved.run.status, solved.run.answer) == ("failed", None)
    assert solved.run.reason.startswith("openai:gpt-4o-mini")
    assert kinds(solved) == ["run_started", "failed"]
    solved = solve.resume(solved, [PLAN, QUERY, QUOTE])
    assert (solved.run.status, solved.run.reason) == ("done", "")
    assert solved.run.answer.text == ANSWER


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ("tool_calls=1", "The budget of 1 tool call is used up"),
        ("tokens=900", "The budget of 900 tokens is used up"),
        ("usd=0.0002", "The budget of 0.0002 USD is used up"),
        ("steps=1", "The budget of 1 step is used up"),
    ],
)
def test_run_whose_budget_is_used_up_is_stopped_with_what_it_found(
    solve: Solve, budget: str, reason: str
) -> None:
    solved = solve(TASK, [PLAN, QUERY, QUOTE], budget=budget, max_parallel=1)
    run = solved.run
    assert run.status == "stopped", run
    assert run.reason.startswith(reason)
    assert run.answer.text.startswith(f"14; (no answer to: {QUESTION}")
    assert kinds(solved)[-2:] == ["answer", "stopped"]


def test_run_whose_budget_ends_at_the_planner_is_stopped(solve: Solve) -> None:
    solved = solve(TASK, [PLAN], budget="tokens=0")
    assert (solved.run.status, solved.run.answer) == ("stopped", None)
    assert solved.run.reason == "The budget of 0 tokens is used up (0)."
    assert not solved.vendor.calls


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Runs a command whose model gives the replies."""
    pytest.importorskip("multi_agent.sample.shop")
    script = Script([])
    with (
        launch_vendor(lambda body: script.take(body)) as vendor,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("OPENAI_API_KEY", "test-key")
        patch.setenv("SEEDBED_MODEL", "openai:gpt-4o-mini")
        patch.setenv("SEEDBED_BASE_URL", f"{vendor.url}/v1")
        patch.setenv("AGENTS_DATA_DIR", str(tmp_path))

        def call(replies: list[Item], *arguments: Any, typed: str = "") -> Any:
            nonlocal script
            script = Script(replies)
            if typed:
                return CliRunner().invoke(app, arguments, input=typed)
            return run_command(main, *arguments)

        yield call


def test_command_line_resumes_a_run_whose_vendor_failed(command: Callable[..., Any]) -> None:
    output = command([PLAN, QUERY, REFUSED], "solve", TASK)
    lines = output.out.splitlines()
    assert output.status == 1 and lines[0].startswith("14; (no answer to:")
    (failed,) = (line for line in lines if line.startswith("failed: openai:gpt-4o-mini"))
    resume = lines[lines.index(failed) + 1]
    assert resume.startswith("Continue it: multi-agent resume r")
    output = command([QUOTE], "resume", resume.split()[-1])
    assert output.status == 0 and output.out.splitlines()[0] == ANSWER


def test_command_line_asks_the_question_of_a_waiting_run(
    command: Callable[..., Any], replies: Any
) -> None:
    options = ["orders placed in May 2025", "orders shipped in May 2025"]
    question = replies.reply(steps=[], question="Which orders?", options=options)
    output = command([question], "solve", "How many orders in May 2025?")
    lines = output.out.splitlines()
    assert output.status == 1 and lines[0] == "waiting: Which orders?"
    assert lines[1].startswith("Continue it: multi-agent resume r")
    plan = replies.plan(("analyst", "How many orders were placed in May 2025?"))
    output = command([plan, QUERY], "resume", lines[1].split()[-1], "--json", typed="1\n")
    assert output.exit_code == 0
    assert "1. orders placed in May 2025" in output.stderr
    run = json.loads(output.stdout[output.stdout.index("{") :])  # after what was typed
    assert run["answer"]["text"] == "14" and run["full_task"] == options[0]
