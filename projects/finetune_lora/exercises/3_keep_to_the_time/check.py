"""Checks of exercise 3: how a `Plan` follows a clock."""

from collections.abc import Sequence

from finetune_lora.train.time_plan import _WARM, Plan


class Clock:
    """Seconds; a step moves it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def train(
    planned: int, seconds: float, steps: Sequence[float], spent: float = 0.0
) -> tuple[Plan, int]:
    """A plan after steps that took so many seconds, and the number of steps until it was over."""
    clock = Clock()
    plan = Plan(planned, seconds, warmup=1, spent=spent, clock=clock)
    plan.begin()
    for count, step in enumerate(steps, 1):
        clock.now += step
        if plan.after(count):
            return plan, count
    return plan, len(steps)


def expect(actual: object, expected: object, case: str) -> None:
    assert actual == expected, f"{case}: expected {expected}, got {actual}"


def check_1_the_time_after_each_step_is_noted() -> None:
    plan, _ = train(50, 1000, [2, 1, 1], spent=5)
    expect(plan._marks, [7, 8, 9], "steps of 2, 1 and 1 s after 5 s of training: marks")


def check_2_slow_first_steps_do_not_count() -> None:
    plan, _ = train(60, 130, [20] * _WARM + [1] * 7)
    case = f"60 steps planned, 63 s left after {_WARM} slow steps and 7 of 1 s: total"
    expect(plan.total, 60, case)


def check_2_the_pace_is_the_mean_of_the_later_steps() -> None:
    plan, _ = train(500, 100, [1] * (_WARM + 1) + [1, 3, 1, 3])
    left = 100 - (_WARM + 1) - 8
    case = f"{left} s left and steps of 2 s on average: total"
    expect(plan.total, _WARM + 5 + left // 2, case)


def check_2_two_later_steps_are_a_pace() -> None:
    plan, _ = train(500, 100, [1] * (_WARM + 2))
    expect(plan.total, 100, f"100 s, after {_WARM + 2} steps of 1 s: total")


def check_3_as_many_steps_as_fit_into_the_time_are_added() -> None:
    plan, _ = train(500, 100, [1] * 10)
    expect(plan.total, 100, "500 steps planned, 100 s, after 10 steps of 1 s: total")
    plan, _ = train(500, 101, [3] * 10)
    expect(plan.total, 33, "101 s, after 10 steps of 3 s: total")
    plan, _ = train(500, 10.75, [0.5] * 10)
    expect(plan.total, 21, "10.75 s, after 10 steps of 0.5 s: total")


def check_3_total_is_never_more_than_planned() -> None:
    plan, done = train(50, 1000, [1] * 60)
    expect((done, plan.total), (50, 50), "50 steps planned and enough time: steps done and total")


def check_3_total_grows_again() -> None:
    plan, done = train(100, 200, [1] * 7 + [30] + [1] * 92)
    case = "100 steps of 1 s planned, 200 s, one slow step: steps done and total"
    expect((done, plan.total), (100, 100), case)


def check_3_the_learning_rate_comes_down() -> None:
    plan, done = train(500, 100, [1] * 500)
    last = plan.factor(done)
    case = "at the end: share of the highest learning rate"
    assert last < 0.05, f"{case}: expected less than 5 %, got {last:.0%}"


def check_4_training_is_over_when_all_steps_are_done() -> None:
    _, done = train(8, 1000, [1] * 20)
    expect(done, 8, "8 steps planned: steps done")
    _, done = train(500, 100.5, [1] * 500)
    expect(done, 100, "100.5 s and steps of 1 s: steps done")


def check_4_training_is_over_when_time_is_up() -> None:
    _, done = train(500, 2, [1.5] * 500)
    expect(done, 2, "2 s and steps of 1.5 s: steps done")
    _, done = train(500, 2, [1] * 500)
    expect(done, 2, "2 s and steps of 1 s: steps done")
    _, done = train(500, 20, [1] * 10 + [50] + [1] * 489)
    expect(done, 11, "20 s, and the 11th step takes 50 s: steps done")
