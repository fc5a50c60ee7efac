"""The graph: plan, let specialists work in parallel, plan again where one failed, answer.

    graph = build_graph(checkpointer)
    graph.invoke({"task": "…"}, config, context=run, durability="sync")

The nodes decide; the specialists do the work, through tools whose calls are recorded. A node may
run twice, after a crash or a question to the user: whatever has an effect goes through
`run.toolbox`, which does not repeat a call that ended.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Send, interrupt

from multi_agent.answer.compose import compose_answer
from multi_agent.answer.verify import verify_result, with_checks
from multi_agent.brain import Brain, Progress, Refusal
from multi_agent.runs.budget import Budget, OverBudget
from multi_agent.runs.record_model import Stopped
from multi_agent.runs.state import Result, RunState, Step, fill
from multi_agent.specialists import Context, Specialist, Workspace
from multi_agent.tools.toolbox import NeedsUser, ToolBox
from seedbed.errors import ModelError, SeedbedError
from seedbed.observe.telemetry import span

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.graph.state import CompiledStateGraph


@dataclass
class RunContext:
    """What the nodes of one run use."""

    workspace: Workspace
    specialists: Mapping[str, Specialist]
    toolbox: ToolBox
    budget: Budget
    emit: Callable[..., None]
    """`emit(kind, step="", **data)` records an event."""
    brain: Callable[[str], Brain]
    """The brain of a role: "planner", or the name of a specialist."""
    model: "Callable[[str], BaseChatModel | None]" = lambda role: None  # noqa: ARG005
    """The chat model of a role, if it has one."""
    earlier: Sequence[str] = ()
    """The tasks before this one in its thread, the newest last."""
    max_replans: int = 2
    asks: bool = True
    """Whether the user can be asked."""
    stop: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    """Set when this process has stopped working on the run."""
    failure: Exception | None = None
    """The error that prevented recording the end of the run."""

    def stop_reason(self) -> str:
        """Why no step may start; empty if one may."""
        try:
            self.budget.check()
        except OverBudget as error:
            return str(error)
        return "The run was stopped." if self.stop.is_set() else ""


class StepState(TypedDict):
    """The input of a specialist's node: its own step and the results that the step needs."""

    step: Step
    inputs: dict[str, Result]


def build_graph(checkpointer: Any = None) -> "CompiledStateGraph[Any, RunContext, Any, Any]":
    """The compiled graph; README's picture is generated from it."""
    graph = StateGraph(RunState, context_schema=RunContext)
    graph.add_node("plan", plan)
    graph.add_node("dispatch", dispatch)
    graph.add_node("specialist", specialist)
    graph.add_node("replan", replan)
    graph.add_node("answer", answer)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "dispatch")
    graph.add_edge("specialist", "dispatch")
    graph.add_edge("replan", "dispatch")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer)


def plan(state: RunState, runtime: Runtime[RunContext]) -> RunState:
    """Typed steps with dependencies. Where a task has two meanings, the user is asked once."""
    run = runtime.context
    # 1. Complete a follow-up from the tasks before it.
    brain, team = run.brain("planner"), list(run.specialists.values())
    task, steps, problem = brain.complete(state["task"], run.earlier), tuple[Step, ...](), ""
    # 2. Plan, with the user's answer if there is a question.
    try:
        try:
            steps = brain.plan(task, team, Progress())
        except Refusal as refusal:
            task = clarify(run, "plan", task, refusal)
            steps = brain.plan(task, team, Progress())
    except Refusal as refusal:
        problem = str(refusal)
    run.emit("plan", steps=steps, problem=problem)
    return {"task": task, "plan": steps, "results": {}, "replans": 0, "problem": problem}


def dispatch(
    state: RunState, runtime: Runtime[RunContext]
) -> Command[Literal["specialist", "replan", "answer"]]:
    """Send each step whose inputs are available to its specialist, in parallel; or else go on.

    It is called again once all steps that were sent together have ended.
    """
    run, results = runtime.context, state.get("results", {})
    if run.stop_reason():
        return Command(goto="answer")

    def is_ready(step: Step) -> bool:
        return all(id in results and not results[id].problem for id in step.after)

    sends = [
        Send("specialist", StepState(step=step, inputs={id: results[id] for id in step.after}))
        for step in state["plan"]
        if step.id not in results and is_ready(step)
    ]
    if sends:
        return Command(goto=sends)
    return Command(goto="replan" if needs_replan(state, run.max_replans) else "answer")


def needs_replan(state: RunState, max_replans: int) -> bool:
    """Whether a failed step may succeed with another plan."""
    results = [state["results"][s.id] for s in state["plan"] if s.id in state["results"]]
    failed = any(result.problem and not result.failure for result in results)
    vendor_fails = any(result.failure for result in results)  # another plan would fail, too
    return failed and not vendor_fails and state["replans"] < max_replans


def specialist(state: StepState, runtime: Runtime[RunContext]) -> RunState:
    """One specialist does one step, and its result is checked against its evidence.

    A failure is a result too: the others go on.
    """
    run, step, inputs = runtime.context, state["step"], state["inputs"]
    task, start = fill(step.task, inputs), time.monotonic()
    run.emit("step_started", step.id, specialist=step.specialist, task=task)
    try:
        if reason := run.stop_reason():
            raise Stopped(reason)
        run.budget.take(steps=1)
        with span(f"invoke_agent {step.specialist}", **{"multi_agent.step.id": step.id}):
            result = run_step(run, step.model_copy(update={"task": task}), inputs)
    except SeedbedError as error:
        stopped = isinstance(error, OverBudget | Stopped)
        failure = "model" if isinstance(error, ModelError) else "stop" if stopped else ""
        result = Result(step=step.id, problem=str(error), failure=failure)
    seconds = round(time.monotonic() - start, 3)
    run.emit("step_ended", step.id, specialist=step.specialist, result=result, seconds=seconds)
    return {"results": {step.id: result}}


def run_step(run: RunContext, step: Step, inputs: Mapping[str, Result]) -> Result:
    """The verified result of a step.

    Asks where a tool needs permission, a call is in doubt, or the task has two meanings.
    """

    worker = run.specialists[step.specialist]
    context = Context(
        call=partial(run.toolbox.call, step.id),
        brain=run.brain(step.specialist),
        model=run.model(step.specialist),
        inputs=inputs,
    )
    try:
        try:
            result = worker.work(step, context)
        except Refusal as refusal:
            key = f"{step.id}: {refusal.question}"
            task = clarify(run, key, step.task, refusal, step.id)
            result = worker.work(step.model_copy(update={"task": task}), context)
    except NeedsUser as need:
        if not run.asks:
            return Result(step=step.id, problem=need.question)
        # The graph stops here. When it continues, the toolbox has the answer.
        ask(need.key, need.question, need.options, step.id)
        raise
    problem = result.problem or verify_result(step, result, inputs, run.workspace)
    return Result(step=step.id, problem=problem) if problem else with_checks(result)


def ask(key: str, question: str, options: Sequence[str], step: str) -> str:
    """Interrupt the graph for an answer of the user; on resume its node restarts from the top."""
    data = {"question": question, "options": list(options), "step": step, "key": key}
    return str(interrupt(data))


def clarify(run: RunContext, key: str, task: str, refusal: Refusal, step: str = "") -> str:
    """The task with what the user decided. Raises the refusal if it has no question for them.

    A recorded answer is reused, so that a crash does not repeat the question.
    """
    if not (refusal.question and run.asks):
        raise refusal
    if (answer := run.toolbox.decisions.get(key)) is None:
        answer = ask(key, refusal.question, refusal.options, step)
    return answer if answer in refusal.options else f"{task} ({answer})"


def replan(state: RunState, runtime: Runtime[RunContext]) -> RunState:
    """Steps with an answer stay, with their results; the brain plans the rest in another way."""
    run = runtime.context
    progress = Progress(state["plan"], state["results"])
    failed = {id: result for id, result in state["results"].items() if result.problem}
    try:
        steps = run.brain("planner").plan(state["task"], [*run.specialists.values()], progress)
    except SeedbedError as error:  # the run answers with what it has
        run.emit("replan_failed", reason=str(error))
        if not isinstance(error, ModelError):
            return {"replans": run.max_replans}
        # A resumed run plans again. Why the step failed is what its user wants to read.
        problems = {id: f"{r.problem} (Planning again failed: {error})" for id, r in failed.items()}
        return {
            "results": {
                id: Result(step=id, problem=problem, failure="model")
                for id, problem in problems.items()
            }
        }
    if not steps:
        return {"replans": run.max_replans}
    steps = tuple(step for step in state["plan"] if step.id in progress.done) + steps
    run.emit("replanned", steps=steps)
    removals: Any = dict.fromkeys(failed)  # None removes a result
    return {"plan": steps, "results": removals, "replans": state["replans"] + 1}


def answer(state: RunState, runtime: Runtime[RunContext]) -> RunState:
    """The answer from what the steps found, and what is missing."""
    run = runtime.context
    reason = run.stop_reason() or state.get("problem", "")
    end = compose_answer(state["plan"], state["results"], reason)
    run.emit("answer", **end.model_dump())
    return {"answer": end}
