"""The graph: plan, let specialists work side by side, verify, plan again, answer.

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
from typing import TYPE_CHECKING, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt

from multi_agent.answer.compose import compose_answer, final_results
from multi_agent.answer.verify import verify_result, with_checks
from multi_agent.brain import Brain, Progress, Refusal
from multi_agent.runs.budget import Budget, OverBudget
from multi_agent.specialists import Context, Specialist, Workspace
from multi_agent.specialists.writer import checked_text
from multi_agent.state import Limits, Result, RunState, Step, dependents, fill
from multi_agent.tools.toolbox import NeedsUser, ToolBox
from seedbed.errors import ModelError, SeedbedError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.graph.state import CompiledStateGraph


DRAFT_SECONDS = 0.3
"""Between two events with the text of an answer that is being written."""


@dataclass
class Run:
    """What the nodes of one run use: the context of the graph."""

    id: str
    workspace: Workspace
    specialists: Mapping[str, Specialist]
    toolbox: ToolBox
    budget: Budget
    emit: Callable[..., None]
    """`emit(kind, step="", **data)` records an event."""
    brain: Callable[[str, Budget], Brain]
    """The brain of a role ("planner", or a specialist), paid from a budget."""
    model: "Callable[[str, Budget], BaseChatModel | None]" = lambda role, budget: None  # noqa: ARG005
    """The chat model of a role, if it has one."""
    step_limits: Limits = field(default_factory=Limits)
    answers: Mapping[str, str] = field(default_factory=dict)
    """What the user has answered, by the key of the question."""
    earlier: Sequence[str] = ()
    """The tasks before this one in its thread, the newest last."""
    max_replans: int = 2
    asks: bool = True
    """Whether the user can be asked."""
    verifies: bool = True
    stop: threading.Event = field(default_factory=threading.Event)

    def stop_reason(self) -> str:
        """Why no step may start; empty if one may."""
        if self.stop.is_set():
            return "The run was stopped."
        try:
            self.budget.check()
        except OverBudget as error:
            return str(error)
        return ""


class StepState(TypedDict):
    """What a specialist's node gets: its own step and the results that the step needs."""

    step: Step
    inputs: dict[str, Result]


def build_graph(checkpointer: Any = None) -> "CompiledStateGraph[Any, Run, Any, Any]":
    """The compiled graph; README's picture is generated from it."""
    graph = StateGraph(RunState, context_schema=Run)
    graph.add_node("plan", plan)
    graph.add_node("specialist", specialist)
    graph.add_node("collect", collect)
    graph.add_node("verify", verify)
    graph.add_node("replan", replan)
    graph.add_node("answer", answer)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", dispatch, ["specialist", "verify"])
    graph.add_edge("specialist", "collect")
    graph.add_conditional_edges("collect", dispatch, ["specialist", "verify"])
    graph.add_conditional_edges("verify", needs_replan, ["replan", "answer"])
    graph.add_conditional_edges("replan", dispatch, ["specialist", "verify"])
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer)


def plan(state: RunState, runtime: Runtime[Run]) -> RunState:
    """Typed steps with dependencies. Where a task has two meanings, the user is asked once."""
    run = runtime.context
    if "plan" in state:  # of a fork
        return {}
    # 1. Complete a follow-up from the tasks before it.
    brain, team = run.brain("planner", run.budget), list(run.specialists.values())
    task, steps, problem = brain.complete(state["task"], run.earlier), tuple[Step, ...](), ""
    # 2. Plan, with the user's answer if there is a question.
    try:
        try:
            steps = brain.plan(task, team, Progress())
        except Refusal as refusal:
            if not (refusal.question and run.asks):
                raise
            choice = ask(run, "plan", refusal.question, refusal.options)
            task = clarified(task, choice, refusal.options)
            steps = brain.plan(task, team, Progress())
    except Refusal as refusal:
        problem = str(refusal)
    run.emit("plan", steps=[step.model_dump(mode="json") for step in steps], problem=problem)
    return {"task": task, "plan": steps, "results": {}, "replans": 0, "problem": problem}


def dispatch(state: RunState, runtime: Runtime[Run]) -> list[Send] | str:
    """Send each step whose inputs are there to its specialist, side by side; then verify."""
    if runtime.context.stop_reason():
        return "verify"
    results, tries = state.get("results", {}), state.get("tries", {})

    def is_open(step: Step) -> bool:
        result = results.get(step.id)
        return result is None or bool(
            result.problem and step.specialist not in tries.get(step.id, ())
        )

    def is_ready(step: Step) -> bool:
        return all(id in results and not results[id].problem for id in step.after)

    sends = [
        Send("specialist", StepState(step=step, inputs={id: results[id] for id in step.after}))
        for step in state["plan"]
        if is_open(step) and is_ready(step)
    ]
    return sends or "verify"


def specialist(state: StepState, runtime: Runtime[Run]) -> RunState:
    """One specialist does one step. A failure is a result too: the others go on."""
    run, step = runtime.context, state["step"]
    filled = step.model_copy(update={"task": fill(step.task, state["inputs"])})
    run.emit("step_started", step.id, specialist=step.specialist, task=filled.task)
    result = perform(run, filled, state["inputs"])
    if result.question and run.asks:
        key = f"{step.id}: {result.question}"
        choice = ask(run, key, result.question, result.options, step.id)
        filled = filled.model_copy(update={"task": clarified(filled.task, choice, result.options)})
        result = perform(run, filled, state["inputs"])
    run.emit("step_ended", step.id, result=result.model_dump(mode="json"))
    return {"results": {step.id: result}, "tries": {step.id: (step.specialist,)}}


def collect(state: RunState) -> RunState:  # noqa: ARG001
    """Join the steps that ran side by side: `dispatch` then sees the results of all of them."""
    return {}


def perform(run: Run, step: Step, inputs: Mapping[str, Result]) -> Result:
    """A step within its budget. Asks where a tool needs permission or a call is in doubt."""
    while True:
        budget = run.budget.child(**run.step_limits.model_dump())
        context = Context(
            call=partial(run.toolbox.within(budget).call, step.id),
            brain=run.brain(step.specialist, budget),
            model=run.model(step.specialist, budget),
            inputs=inputs,
        )
        try:
            if reason := run.stop_reason():
                return Result(step=step.id, problem=reason, failure="budget")
            budget.take(steps=1)
            return run.specialists[step.specialist].work(step, context)
        except NeedsUser as need:
            if not run.asks:
                return Result(step=step.id, problem=need.question)
            choice = ask(run, need.key, need.question, need.options, step.id)
            run.toolbox.decide(need.key, choice)
        except Refusal as refusal:
            return Result(
                step=step.id,
                problem=str(refusal),
                question=refusal.question,
                options=refusal.options,
            )
        except SeedbedError as error:
            return failed(run, step.id, error)


def failed(run: Run, step_id: str, error: SeedbedError) -> Result:
    """An error as a result: of the vendor, of the run's budget, or of the step."""
    if isinstance(error, ModelError):
        return Result(step=step_id, problem=str(error), failure="model")
    over = isinstance(error, OverBudget) and run.stop_reason()
    return Result(step=step_id, problem=str(error), failure="budget" if over else "")


def ask(run: Run, key: str, question: str, options: Sequence[str] = (), step: str = "") -> str:
    """The user's answer, from the record if there is one, so that a crash asks nothing twice.

    Else the run stops here; when it goes on, its node starts again from the top.
    """
    if key in run.answers:
        return run.answers[key]
    value = {"question": question, "options": list(options), "step": step, "key": key}
    return str(interrupt(value))


def clarified(task: str, answer: str, options: Sequence[str]) -> str:
    """The task with what the user decided."""
    return answer if answer in options else f"{task} ({answer})"


def verify(state: RunState, runtime: Runtime[Run]) -> RunState:
    """Check each result against its evidence; what does not hold becomes a problem."""
    run = runtime.context
    if not run.verifies:
        return {}
    checked: dict[str, Result | None] = {}
    for step in state["plan"]:
        result = state["results"].get(step.id)
        if result is None or result.problem:
            continue
        inputs = {id: state["results"][id] for id in step.after}
        problem = verify_result(step, result, inputs, run.workspace)
        result = Result(step=step.id, problem=problem) if problem else with_checks(result)
        checks = [evidence.checked for evidence in result.evidence]
        run.emit("verified", step.id, problem=problem, checked=checks)
        checked[step.id] = result
    # What was made of a result that does not hold does not hold either, and may be tried again.
    wrong = {id for id, result in checked.items() if result and result.problem}
    again = {d for id in wrong for d in dependents(state["plan"], id)} - wrong
    results: Any = checked | dict.fromkeys(again)  # None removes a result
    return {"results": results, "tries": dict.fromkeys(again, ())}


def needs_replan(state: RunState, runtime: Runtime[Run]) -> str:
    """Plan again while a step failed that may be tried in another way, and there is budget."""
    run, results = runtime.context, state["results"]
    some = [results[step.id] for step in state["plan"] if step.id in results]
    failed = any(result.problem and not result.failure for result in some)
    vendor_fails = any(result.failure for result in some)  # another plan would fail, too
    more = state["replans"] < run.max_replans and not vendor_fails and not run.stop_reason()
    return "replan" if failed and more else "answer"


def replan(state: RunState, runtime: Runtime[Run]) -> RunState:
    """Steps with an answer stay, with their results; the brain plans the rest in another way."""
    run = runtime.context
    progress = Progress(state["plan"], state["results"], state.get("tries", {}))
    team = list(run.specialists.values())
    try:
        steps = run.brain("planner", run.budget).plan(state["task"], team, progress)
    except ModelError as error:  # the run answers with what it has; a resumed one plans again
        run.emit("replan_failed", reason=str(error))
        failed = {
            id: result.model_copy(update={"problem": str(error), "failure": "model"})
            for id, result in state["results"].items()
            if result.problem
        }
        return {"results": failed}
    except SeedbedError as error:
        run.emit("replan_failed", reason=str(error))
        return {"replans": run.max_replans}
    if not steps:
        return {"replans": run.max_replans}
    steps = tuple(step for step in state["plan"] if step.id in progress.done) + steps
    problems = [r.problem for r in state["results"].values() if r.problem]
    run.emit("replanned", problems=problems, steps=[s.model_dump(mode="json") for s in steps])
    return {"plan": steps, "replans": state["replans"] + 1}


def drafts(run: Run) -> Callable[[str], None]:
    """Records the text of an answer while it is written, a few times per second."""
    last = 0.0

    def draft(text: str) -> None:
        nonlocal last
        if time.monotonic() - last > DRAFT_SECONDS:
            last = time.monotonic()
            run.emit("draft", text=text)

    return draft


def answer(state: RunState, runtime: Runtime[Run]) -> RunState:
    """The answer from what the steps found, and what is missing."""
    run = runtime.context
    reason = run.stop_reason() or state.get("problem", "")
    end = compose_answer(state["plan"], state["results"], reason)
    finals = final_results(state["plan"], state["results"])
    # With a model, several answers become one text without other numbers.
    if end.confident and len(finals) > 1 and run.model("writer", run.budget):
        try:
            text = checked_text(
                run.brain("writer", run.budget), state["task"], finals, draft=drafts(run)
            )
            end = end.model_copy(update={"text": text})
        except SeedbedError as error:  # the answers side by side are an answer, too
            run.emit("compose_failed", reason=str(error))
    run.emit("answer", **end.model_dump(mode="json"))
    return {"answer": end}
