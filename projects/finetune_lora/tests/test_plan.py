"""How a training keeps to its time, with a clock that the test moves."""

from __future__ import annotations

import pytest

from finetune_lora.train.time_plan import Plan


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def drive(plan: Plan, clock: Clock, seconds: float, start: int = 0) -> list[float]:
    """Train with steps of `seconds`; the factor of each step."""
    factors, step = [], start
    plan.begin()
    while True:
        factors.append(plan.factor(step))
        clock.now += seconds
        step += 1
        if plan.after(step):
            return factors


def test_enough_time_makes_all_steps() -> None:
    clock = Clock()
    plan = Plan(50, 1000, 5, clock=clock)
    factors = drive(plan, clock, 1.0)
    assert len(factors) == 50
    assert max(factors) == 1
    assert factors[4] == 1
    assert factors[:5] == sorted(factors[:5])
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert factors[-1] == pytest.approx(1 / 45)
    assert plan.factor(50) == 0


@pytest.mark.parametrize("planned", [200, 1000, 100_000])
def test_short_time_makes_fewer_steps_and_the_rate_still_falls(planned: int) -> None:
    clock = Clock()
    plan = Plan(planned, 100, round(0.06 * planned), clock=clock)
    factors = drive(plan, clock, 1.0)
    assert 99 <= len(factors) <= 100
    assert plan.elapsed <= 100
    assert max(factors) > 0.9
    assert factors[-1] < 0.03


def test_steps_that_become_slower_still_end_in_time() -> None:
    clock = Clock()
    plan = Plan(1000, 100, 10, clock=clock)
    plan.begin()
    step, factors = 0, []
    while True:
        factors.append(plan.factor(step))
        clock.now += 0.2 if step < 100 else 1.0
        step += 1
        if plan.after(step):
            break
    assert plan.elapsed <= 101
    assert factors[-1] < 0.1


def test_a_resumed_training_counts_what_was_spent() -> None:
    clock = Clock()
    plan = Plan(1000, 100, 10, clock=clock, spent=60.0, total=100)
    factors = drive(plan, clock, 1.0, start=60)
    assert 39 <= len(factors) <= 40
    assert factors[0] == pytest.approx(40 / 99, abs=0.01)
    assert plan.elapsed <= 100


def test_no_time_is_left_means_one_more_step_at_most() -> None:
    clock = Clock()
    plan = Plan(10, 100, 1, clock=clock, spent=100.0)
    assert len(drive(plan, clock, 1.0)) == 1


@pytest.mark.parametrize(("planned", "warmup"), [(1, 1), (2, 1), (3, 3), (1, 0)])
def test_tiny_trainings_learn_at_all(planned: int, warmup: int) -> None:
    plan = Plan(planned, 100, warmup)
    assert all(0 < plan.factor(step) <= 1 for step in range(planned))
