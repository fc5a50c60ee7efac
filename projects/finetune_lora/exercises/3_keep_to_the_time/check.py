"""Checks of exercise 3: how a `Plan` follows a clock."""

from finetune_lora.plan import Plan


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def train(planned: int, seconds: float, step_takes: float, first_takes: float = 0.0) -> Plan:
    """A plan after a training whose steps take so many seconds; `plan.done` steps were made."""
    clock = Clock()
    plan = Plan(planned, seconds, warmup=1, clock=clock)
    plan.begin()
    clock.now += first_takes
    for step in range(1, 10 * planned):
        clock.now += step_takes
        if plan.after(step):
            break
    plan.done = step  # type: ignore[attr-defined]
    return plan


def check_enough_time_changes_nothing() -> None:
    plan = train(planned=50, seconds=1000, step_takes=1)
    assert (plan.done, plan.total) == (50, 50), f"{plan.done} steps of {plan.total}, not 50 of 50"


def check_too_little_time_shortens_the_plan() -> None:
    plan = train(planned=500, seconds=100, step_takes=1)
    assert plan.total < 500, "there is time for 100 steps, and the plan still says 500"
    assert 98 <= plan.done <= 100, f"{plan.done} steps of a second each were made in 100 s"


def check_the_learning_rate_comes_down() -> None:
    plan = train(planned=500, seconds=100, step_takes=1)
    last = plan.factor(plan.done)
    assert last < 0.05, f"at the end the learning rate is still {last:.0%} of its peak"


def check_a_slow_start_is_not_the_pace() -> None:
    plan = train(planned=60, seconds=100, step_takes=1, first_takes=30)
    assert plan.done == 60, f"60 steps fit behind a slow start of 30 s; {plan.done} were made"


def check_it_may_grow_back() -> None:
    clock = Clock()
    plan = Plan(100, 200, warmup=1, clock=clock)
    plan.begin()
    for step in range(1, 101):
        clock.now += 10 if step == 8 else 1
        if plan.after(step):
            break
    assert step == 100, f"one slow step ended the training after {step} of 100"
