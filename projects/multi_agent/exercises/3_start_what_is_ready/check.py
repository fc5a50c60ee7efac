"""Checks of exercise 3: where `dispatch` goes, for plans whose steps wait and fail."""

from types import SimpleNamespace
from typing import Any

from multi_agent.config import Config
from multi_agent.graph import RunContext, dispatch
from multi_agent.runs.budget import Budget
from multi_agent.runs.state import Result, RunState, Step
from multi_agent.specialists import Workspace

# s1 and s2 are independent, s3 needs s1, s4 needs both.
AFTER: dict[str, tuple[str, ...]] = {"s1": (), "s2": (), "s3": ("s1",), "s4": ("s1", "s2")}
STEPS = {id: Step(id=id, specialist="analyst", task=id, after=AFTER[id]) for id in AFTER}
PLAN = "s1 s2 s3 s4"


def expect(goto: str, results: str, plan: str = PLAN, replans: int = 2, **more: float) -> None:
    """`goto`: a node, or the steps that are sent. `results`: "s1 -s2" if s2 has a problem."""
    run = RunContext(Workspace(Config()), {}, None, Budget(**more), None, None)  # type: ignore[arg-type]
    state = RunState(task="…", plan=tuple(STEPS[id] for id in plan.split()), replans=replans)
    if results:
        state["results"] = {
            id.strip("-"): Result(step=id, answer="7", problem="No table." if "-" in id else "")
            for id in results.split()
        }
    before, runtime = str(state), SimpleNamespace(context=run)
    actual: Any = getattr(dispatch(state, runtime), "goto", "no Command")  # type: ignore[arg-type]
    case = f"plan {plan}, results {results or 'missing'} (-: a problem): expected {goto!r}"
    assert str(state) == before, f"{case} and an unchanged state, got {state}"
    if isinstance(actual, list) and actual:
        sends = [(send.node, send.arg["step"].id, tuple(send.arg["inputs"])) for send in actual]
        steps = [("specialist", id, AFTER[id]) for id in goto.split() if id in AFTER]
        assert sends == steps, f"{case}, got the node, step and inputs {sends}"
    else:
        assert actual == goto, f"{case}, got {actual!r}"


def check_1_nothing_starts_after_a_stop_or_without_a_budget() -> None:
    expect("answer", "s1", seconds=0)


def check_2_a_step_with_a_result_is_not_open() -> None:
    expect("s2 s3", "s1")
    expect("s2", "-s1")


def check_3_a_step_waits_for_all_its_inputs() -> None:
    expect("s1", "s2")
    expect("answer", "-s1 s2")


def check_4_all_steps_that_are_ready_are_sent_with_their_inputs() -> None:
    expect("s2 s1", "", "s4 s3 s2 s1")
    expect("s3 s4", "s1 s2")


def check_5_a_new_plan_or_the_answer_follows() -> None:
    expect("answer", "s2 -s1")
    expect("replan", "s2 -s1", replans=1)
