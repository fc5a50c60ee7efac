"""How a training keeps to its time, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from finetune_lora.train.time_plan import Plan


def drive(
    *plan: Any, seconds: Callable[[int], float] = lambda _: 1.0, start: int = 0, **options: Any
) -> tuple[Plan, list[float]]:
    """A plan that was followed to its end, and the factor of each step's learning rate."""
    now = 100.0
    driven = Plan(*plan, clock=lambda: now, **options)
    factors, step = [], start
    driven.begin()
    while True:
        factors.append(driven.factor(step))
        now += seconds(step)
        step += 1
        if driven.after(step):
            return driven, factors


def test_enough_time_makes_all_steps() -> None:
    plan, factors = drive(50, 1000, 5)
    assert len(factors) == 50
    assert factors[:5] == sorted(factors[:5]) and factors[4] == 1
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert (factors[-1], plan.factor(50)) == (pytest.approx(1 / 45), 0)


@pytest.mark.parametrize("planned", [200, 100_000])
def test_short_time_makes_fewer_steps_and_the_rate_still_falls(planned: int) -> None:
    plan, factors = drive(planned, 100, round(0.06 * planned))
    assert 99 <= len(factors) <= 100 and plan.elapsed <= 100
    assert max(factors) > 0.9 and factors[-1] < 0.03


def test_steps_that_become_slower_still_end_in_time() -> None:
    plan, factors = drive(1000, 100, 10, seconds=lambda step: 0.2 if step < 100 else 1.0)
    assert plan.elapsed <= 101
    assert factors[-1] < 0.1


def test_resumed_training_counts_the_time_before() -> None:
    plan, factors = drive(1000, 100, 10, start=60, spent=60.0, total=100)
    assert 39 <= len(factors) <= 40 and plan.elapsed <= 100
    assert factors[0] == pytest.approx(40 / 99, abs=0.01)


@pytest.mark.parametrize(("planned", "warmup"), [(1, 1), (2, 1), (3, 3), (1, 0)])
def test_tiny_training_learns_at_each_step(planned: int, warmup: int) -> None:
    plan = Plan(planned, 100, warmup)
    assert all(0 < plan.factor(step) <= 1 for step in range(planned))
