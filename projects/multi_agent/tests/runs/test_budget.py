"""Budgets, and the callback that spends them for chat models."""

import asyncio
import logging
import threading

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from multi_agent.runs.budget import Budget, BudgetCallback, OverBudget
from seedbed.errors import Busy
from seedbed.models.scripted import ScriptedChatModel


class Clock:
    """A clock that a test sets, in seconds."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def spend(model, budget, prompt="one two three", spec=""):
    return model.invoke(prompt, config={"callbacks": [BudgetCallback(budget, spec)]})


@pytest.mark.parametrize(
    ("limits", "amounts", "message"),
    [
        ({"tokens": 50_000}, {"tokens": 50_112}, "50,000 tokens is used up (50,112)."),
        ({"tool_calls": 40}, {"tool_calls": 40}, "40 tool calls is used up (40)."),
        ({"steps": 1}, {"steps": 1}, "1 step is used up (1)."),
        ({"usd": 0.5}, {"usd": 0.512345}, "0.5 USD is used up (0.5123)."),
    ],
)
def test_over_budget_names_limit_and_value(limits, amounts, message):
    budget = Budget(**limits)
    budget.check()
    budget.spend(**amounts)
    with pytest.raises(OverBudget) as error:
        budget.check()
    assert str(error.value) == f"The budget of {message}"
    assert error.value.limit in limits


def test_limit_of_none_is_no_limit_and_unknown_limit_is_refused():
    budget = Budget(tokens=None)
    budget.spend(tokens=10**9)
    budget.check()
    with pytest.raises(TypeError, match="token"):
        Budget(token=5)


def test_check_ignores_limits_that_are_not_named():
    budget = Budget(tool_calls=0, tokens=5)
    budget.check("tokens", "usd")
    with pytest.raises(OverBudget, match="0 tool calls"):
        budget.check()


def test_child_spends_from_parents_and_obeys_their_limits():
    run = Budget(tokens=10)
    first, second = run.child(tokens=8), run.child(tokens=8)
    first.spend(tokens=8)
    with pytest.raises(OverBudget, match=r"8 tokens is used up \(8\)"):
        first.check()
    second.check()
    second.spend(tokens=2)
    with pytest.raises(OverBudget, match=r"10 tokens is used up \(10\)"):
        second.check()
    assert (run.usage["tokens"], second.usage["tokens"]) == (10, 2)


def test_budget_remembers_its_own_limit_that_was_reached_first():
    run = Budget(tokens=10, steps=2)
    step = run.child(tokens=4)
    step.spend(tokens=4)
    with pytest.raises(OverBudget, match="4 tokens"):
        step.check()
    assert (step.exceeded, run.exceeded) == ("The budget of 4 tokens is used up (4).", "")
    step.spend(tokens=6)
    assert run.exceeded == ""  # nothing was refused yet
    with pytest.raises(OverBudget, match="10 tokens"):  # of the run, though the step's is reached
        step.check()
    run.spend(steps=2)
    with pytest.raises(OverBudget, match="2 steps"):
        run.take(steps=1)
    assert run.exceeded == "The budget of 10 tokens is used up (10)."


def test_seconds_continue_after_restore():
    clock = Clock()
    budget = Budget(seconds=120, clock=clock)
    clock.now += 100
    usage = budget.usage
    clock.now += 5_000  # until it is resumed
    resumed = Budget(seconds=120, tokens=10, clock=clock)
    resumed.restore({**usage, "tokens": 4})
    resumed.check()
    clock.now += 20.4
    assert resumed.usage["tokens"] == 4
    with pytest.raises(OverBudget, match=r"120 seconds is used up \(120.4\)"):
        resumed.check()


def test_threads_cannot_take_more_than_the_limit():
    budget, refused = Budget(tool_calls=100), []
    barrier = threading.Barrier(16)

    def work():
        barrier.wait()
        for _ in range(10):
            try:
                budget.child().take(tool_calls=1)
            except OverBudget:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (budget.usage["tool_calls"], len(refused)) == (100, 60)


def test_callback_spends_reported_tokens_and_price():
    budget = Budget()
    spend(ScriptedChatModel(["four five"]), budget, spec="openai:gpt-4o-mini")
    assert budget.usage["tokens"] == 5
    assert budget.usage["usd"] == pytest.approx((3 * 0.15 + 2 * 0.6) / 1e6)


def test_callback_estimates_tokens_that_are_not_reported():
    budget = Budget()
    spend(GenericFakeChatModel(messages=iter([AIMessage("a" * 40)])), budget, "b" * 21)
    assert budget.usage["tokens"] == 6 + 10


@pytest.mark.parametrize("mode", ["invoke", "stream", "ainvoke", "astream"])
def test_callback_refuses_the_call_after_the_limit(mode, caplog):
    model, budget = ScriptedChatModel(lambda _: "four five"), Budget(tokens=5)
    config = {"callbacks": [BudgetCallback(budget)]}

    async def consume():
        return [chunk async for chunk in model.astream("one two three", config)]

    def call():
        if mode == "ainvoke":
            asyncio.run(model.ainvoke("one two three", config))
        elif mode == "astream":
            asyncio.run(consume())
        else:
            list(getattr(model, mode)("one two three", config))

    call()
    with caplog.at_level(logging.WARNING), pytest.raises(OverBudget, match="5 tokens"):
        call()
    assert len(model.calls) == 1
    assert not caplog.records  # no warning of LangChain


def test_failed_call_is_not_charged_but_a_stream_that_was_cut_off_is():
    budget = Budget()
    with pytest.raises(Busy):
        spend(ScriptedChatModel([Busy("full")]), budget)
    assert budget.usage["tokens"] == 0
    config = {"callbacks": [BudgetCallback(budget)]}
    stream = ScriptedChatModel(["four five six"]).stream("one two three", config)
    next(stream)
    stream.close()
    assert budget.usage["tokens"] == 4 + 1  # estimated: 13 and 4 characters
