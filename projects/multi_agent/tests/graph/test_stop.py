"""Model calls that do not end: the run's stop and its budget of seconds end them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from multi_agent.runs.state import Limits, Step
from multi_agent.specialists import Context
from seedbed.models.load import load_chat_model
from seedbed.settings import Settings
from seedbed.testing.vendor.script import Reply
from seedbed.testing.vendor.server import launch_vendor

Open = Callable[..., Any]
FAULTS = ["hang", "drip"]


@pytest.fixture
def open_team(
    open_scripted: Open, scripted: Any, replies: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Open]:
    """A team and its vendor: the step s1 has an answer, the model never replies in step s2."""
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")

    def ask_model(_step: Step, context: Context) -> str:
        assert context.model
        return str(context.model.invoke("Hello").text)

    plan = replies.plan(("alpha", "fines"), ("beta", "fees on {s1}"))

    def open_one(fault: str, answers: Sequence[str] = (plan,), **options: Any) -> Any:
        vendor = stack.enter_context(launch_vendor([*answers, Reply("Hello.", fault=fault)]))
        settings = Settings(base_url=f"{vendor.url}/v1", _env_file=None)
        model = load_chat_model("openai:gpt-4o-mini", settings=settings)
        specialists = [scripted("alpha", lambda *_: "240"), scripted("beta", ask_model)]
        models = {"planner": model, "beta": model}
        return open_scripted(specialists, models=models, **options), vendor

    with ExitStack() as stack:
        yield open_one


@pytest.mark.parametrize("fault", FAULTS)
def test_stop_ends_the_model_call_in_progress(open_team: Open, fault: str) -> None:
    team, vendor = open_team(fault)
    run_id = team.start("Fines and fees?")
    vendor.wait_until(lambda: len(vendor.calls) == 2)
    start = time.monotonic()
    team.stop(run_id)
    run = team.wait(run_id, timeout=10)
    assert time.monotonic() - start < 2
    assert (run.status, run.reason) == ("stopped", "The run was stopped.")
    assert "240" in run.answer.text, "what was found is kept"
    vendor.wait_until(lambda: vendor.calls[1].disconnected)


@pytest.mark.parametrize("fault", FAULTS)
def test_seconds_of_the_run_end_the_model_call_in_progress(open_team: Open, fault: str) -> None:
    team, vendor = open_team(fault)
    run = team.wait(team.start("Fines and fees?", limits=Limits(seconds=1)), timeout=10)
    assert run.status == "stopped" and "budget of 1 second is used up" in run.reason
    assert "240" in run.answer.text
    assert run.usage["seconds"] < 3
    vendor.wait_until(lambda: vendor.calls[1].disconnected)
