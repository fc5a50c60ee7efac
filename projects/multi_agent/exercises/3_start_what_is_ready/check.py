"""Checks of exercise 3: what `dispatch` sends, for plans whose steps wait and fail."""

from types import SimpleNamespace
from typing import Any

from multi_agent.config import Config
from multi_agent.graph import RunContext, dispatch
from multi_agent.runs.budget import Budget
from multi_agent.runs.state import Result, RunState, Step
from multi_agent.specialists import Workspace

# s1 and s2 are independent, s3 needs s1, s4 needs both.
S1 = Step(id="s1", specialist="analyst", task="How many orders came in May?")
S2 = Step(id="s2", specialist="researcher", task="How long is the return window?")
S3 = Step(id="s3", specialist="calculator", task="What is 5 % of {s1}?", after=("s1",))
S4 = Step(id="s4", specialist="writer", task="Write about {s1}, {s2}.", after=("s1", "s2"))
PLAN = (S1, S2, S3, S4)
PROBLEM = "No such table."


def answers(*ids: str) -> dict[str, Result]:
    return {id: Result(step=id, answer=f"answer of {id}", number=7) for id in ids}


def failures(*ids: str) -> dict[str, Result]:
    return {id: Result(step=id, problem=PROBLEM) for id in ids}


def new_run(**limits: float) -> RunContext:
    nothing: Any = None
    return RunContext(Workspace(Config()), {}, nothing, Budget(**limits), nothing, nothing)


def next_sends(
    results: dict[str, Result] | None = None,
    plan: tuple[Step, ...] = PLAN,
    run: RunContext | None = None,
    replans: int = 2,
) -> Any:
    """Where `dispatch` goes; `results` None: the state has no results. All plans were made."""
    state = RunState(task="…", plan=plan, replans=replans)
    if results is not None:
        state |= RunState(results=results)
    runtime: Any = SimpleNamespace(context=run or new_run())
    command: Any = dispatch(state, runtime)
    return getattr(command, "goto", f"no Command: {command}")


def sent(sends: Any, field: str) -> list[Any]:
    """A field of each step's state; the name of a node sends none."""
    return [] if isinstance(sends, str) else [send.arg[field] for send in sends]


def ids(sends: Any) -> list[str]:
    return [step.id for step in sent(sends, "step")]


def next_node(sends: Any) -> Any:
    """The name of a node, or else the steps that are sent."""
    return sends if isinstance(sends, str) else ids(sends)


def expect(actual: object, expected: object, what: str) -> None:
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def check_1_nothing_starts_after_a_stop() -> None:
    run = new_run()
    run.stop.set()
    expect(next_node(next_sends({}, run=run)), "answer", "s1, s2 open, run stopped: the result")
    going_on = next_node(next_sends(answers("s1"), run=run))
    expect(going_on, "answer", "s1 has an answer, s2 and s3 are open, run stopped: the result")


def check_1_nothing_starts_without_a_budget() -> None:
    run = new_run(steps=1)
    run.budget.spend(steps=1)
    expect(
        next_node(next_sends({}, run=run)), "answer", "s1, s2 open, all steps used up: the result"
    )
    late = new_run(seconds=0)
    expect(
        next_node(next_sends({}, run=late)),
        "answer",
        "s1, s2 open, all seconds used up: the result",
    )


def check_2_a_step_with_an_answer_is_not_open() -> None:
    sends = ids(next_sends(answers("s1")))
    expect(sends, ["s2", "s3"], "s1 has an answer: sends")


def check_2_a_step_that_failed_is_not_repeated() -> None:
    results = failures("s1") | answers("s2")
    expect(ids(next_sends(results)), [], "s1 failed: sends")


def check_3_a_step_waits_for_all_its_inputs() -> None:
    sends = ids(next_sends(answers("s2")))
    expect(sends, ["s1"], "s2 has an answer: sends")
    sends = ids(next_sends(answers("s1", "s2", "s3")))
    expect(sends, ["s4"], "s1, s2, s3 have answers: sends")


def check_3_a_failed_input_is_not_an_input() -> None:
    sends = ids(next_sends(failures("s1") | answers("s2")))
    expect(sends, [], "s1 failed, s3 and s4 need it: sends")
    sends = ids(next_sends(answers("s1") | failures("s2")))
    expect(sends, ["s3"], "s2 failed, s4 needs it, s3 does not: sends")


def check_4_all_ready_steps_are_sent_in_one_list() -> None:
    for results, case in ((None, "no results yet"), ({}, "results are empty")):
        expect(ids(next_sends(results)), ["s1", "s2"], f"{case}: sends")
    expect(ids(next_sends({}, (S2, S1))), ["s2", "s1"], "s2 before s1 in the plan: sends")


def check_4_a_step_that_has_to_wait_does_not_hold_up_later_ones() -> None:
    sends = ids(next_sends({}, (S4, S3, S1, S2)))
    expect(sends, ["s1", "s2"], "s4 and s3, which wait, before s1 and s2 in the plan: sends")


def check_4_a_send_has_the_step_and_the_node() -> None:
    sends = next_sends({})
    nodes = sends if isinstance(sends, str) else [send.node for send in sends]
    expect(nodes, ["specialist", "specialist"], "s1, s2 open: nodes of the sends")
    expect(sent(sends, "step"), [S1, S2], "s1, s2 open: steps of the sends")


def check_4_a_step_sees_the_results_it_needs_and_no_others() -> None:
    results = answers("s1", "s2")
    expect(sent(next_sends({}), "inputs"), [{}, {}], "inputs of s1 and s2, which need nothing")
    first, both = {"s1": results["s1"]}, results
    inputs = sent(next_sends(results), "inputs")
    expect([sorted(one) for one in inputs], [["s1"], ["s1", "s2"]], "ids of the inputs of s3, s4")
    expect(inputs, [first, both], "inputs of s3 and s4")


def check_5_the_answer_follows_when_all_is_done() -> None:
    done = answers("s1", "s2", "s3", "s4")
    expect(next_node(next_sends(done, replans=0)), "answer", "all steps done: the node")
    expect(next_node(next_sends({}, ())), "answer", "a plan without steps: the node")


def check_5_a_new_plan_follows_when_a_step_failed() -> None:
    results = answers("s2") | failures("s1")
    sends = next_sends(results, replans=1)
    expect(next_node(sends), "replan", "s1 failed, one plan left: the node")
    sends = next_sends(failures("s1"), replans=1)
    expect(next_node(sends), ["s2"], "s1 failed, s2 is ready, one plan left: sends")


def check_5_the_answer_follows_when_the_rest_cannot_start() -> None:
    results = answers("s2") | failures("s1")
    expect(next_node(next_sends(results)), "answer", "s1 failed, no plan left: the node")
