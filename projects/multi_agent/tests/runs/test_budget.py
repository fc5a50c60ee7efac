"""Budgets: what is spent, also by threads, and when a limit is reached."""

import threading

import pytest

from multi_agent.runs.budget import Budget, OverBudget


class Clock:
    """A clock that a test sets, in seconds."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


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


def test_seconds_continue_after_restore():
    clock = Clock()
    budget = Budget(seconds=120, clock=clock)
    clock.now += 100
    usage = budget.usage
    clock.now += 5_000  # until it is resumed
    resumed = Budget(seconds=120, tokens=10, clock=clock)
    resumed.restore({**usage, "tokens": 4})
    clock.now += 500  # in the queue
    resumed.check()
    resumed.start()
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
                budget.take(tool_calls=1)
            except OverBudget:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (budget.usage["tool_calls"], len(refused)) == (100, 60)
