"""Checks of exercise 3: how a `Plan` follows a clock."""

from collections.abc import Sequence

from finetune_lora.train.time_plan import _WARM, Plan


def expect(
    done: int,
    total: int | None,
    steps: Sequence[float],
    planned: int,
    seconds: float,
    resumed: int = 0,
) -> Plan:
    """`steps` take so many seconds: the steps that are done when training is over, and `total`.

    A resumed training has done that many steps, of 1 s, before.
    """
    now = 1000.0
    plan = Plan(planned, seconds, warmup=1, spent=resumed, clock=lambda: now)
    plan.begin()
    count = resumed
    for count, step in enumerate(steps, resumed + 1):
        now += step
        if plan.after(count):
            break
    case = f"{planned} steps planned, {seconds} s, {resumed} steps before, then {steps[:12]} … s"
    actual = (count, plan.total if total is not None else None)
    assert actual == (done, total), f"{case}: expected {(done, total)} done and total, got {actual}"
    return plan


def check_1_the_time_of_training_is_noted_after_each_step() -> None:
    marks = expect(8, 50, [2, 1, 1], 50, 1000, resumed=5)._marks
    assert marks == [7, 8, 9], (
        f"steps of 2, 1 and 1 s after 5 s: expected marks 7, 8, 9, got {marks}"
    )


def check_2_the_pace_is_the_mean_of_the_steps_after_the_slow_ones() -> None:
    slow = [20.0] * _WARM
    expect(_WARM + 7, 60, [*slow, *[1] * 7], 60, 130)
    expect(_WARM + 2, _WARM + 2 + 100, [*slow, 1, 1], 500, 102 + sum(slow))
    expect(_WARM + 5, _WARM + 5 + 20, [*slow, 1, 1, 3, 1, 3], 500, 49 + sum(slow))


def check_3_as_many_whole_steps_as_fit_into_the_time_are_added() -> None:
    expect(10, 21, [0.5] * 10, 500, 10.75)
    expect(40, 100, [1] * 10, 500, 100, resumed=30)
    expect(50, 50, [1] * 60, 50, 1000)
    expect(100, 100, [*[1] * 7, 30, *[1] * 92], 100, 200)


def check_4_training_is_over_when_all_steps_are_done_or_the_time_is_up() -> None:
    expect(8, 8, [1] * 20, 8, 1000)
    expect(2, None, [1] * 500, 500, 2)
    expect(11, None, [*[1] * 10, 50, *[1] * 99], 500, 20)
