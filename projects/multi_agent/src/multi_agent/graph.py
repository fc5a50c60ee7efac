"""The graph: clarify, plan, let specialists work side by side, verify, plan again, answer.

    graph = build_graph(checkpointer)
    graph.invoke({"task": "…"}, config, context=run, durability="sync")

The nodes decide; the specialists do the work, through tools whose calls are recorded. A node may
run twice, after a crash or a question to the user: whatever has an effect goes through
`run.toolbox`, which does not repeat a call that ended.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt

from multi_agent.answer.compose import compose_answer
from multi_agent.answer.verify import verify_result
from multi_agent.plan.model_plan import model_plan
from multi_agent.plan.planner import Planner
from multi_agent.plan.references import fill
from multi_agent.runs.budget import Budget, OverBudget
from multi_agent.specialists import Context, Specialist, Workspace
from multi_agent.state import Limits, Result, RunState, Step, dependents
from multi_agent.tools.toolbox import NeedsUser, ToolBox
from seedbed.errors import SeedbedError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.graph.state import CompiledStateGraph


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
    model: "Callable[[str, Budget], BaseChatModel | None]" = lambda role, budget: None  # noqa: ARG005
    """The model of a role, if it can follow instructions, paid from a budget."""
    step_limits: Limits = field(default_factory=Limits)
    answers: Mapping[str, str] = field(default_factory=dict)
    """What the user has answered, by the key of the question."""
    examples: Sequence[str] = ()
    max_replans: int = 2
    asks: bool = True
    """Whether the user can be asked."""
    verifies: bool = True
    stop: threading.Event = field(default_factory=threading.Event)

    def ended(self) -> str:
        """Why no step may start; empty if it may."""
        if self.stop.is_set():
            return "The run was stopped."
        try:
            self.budget.check("steps", "seconds")  # the others are checked where they are spent
        except OverBudget as error:
            return str(error)
        return ""


class StepState(TypedDict):
    """What a specialist's node gets: its own step and the results that the step needs."""

    step: Step
    inputs: dict[str, Result]
    problem: str


def build_graph(checkpointer: Any = None) -> "CompiledStateGraph[Any, Run, Any, Any]":
    """The compiled graph; README's picture is generated from it."""
    graph = StateGraph(RunState, context_schema=Run)
    graph.add_node("clarify", clarify)
    graph.add_node("plan", plan)
    graph.add_node("specialist", specialist)
    graph.add_node("collect", collect)
    graph.add_node("verify", verify)
    graph.add_node("replan", replan)
    graph.add_node("answer", answer)
    graph.add_edge(START, "clarify")
    graph.add_edge("clarify", "plan")
    graph.add_conditional_edges("plan", dispatch, ["specialist", "verify"])
    graph.add_edge("specialist", "collect")
    graph.add_conditional_edges("collect", dispatch, ["specialist", "verify"])
    graph.add_conditional_edges("verify", needs_replan, ["replan", "answer"])
    graph.add_conditional_edges("replan", dispatch, ["specialist", "verify"])
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer)


def clarify(state: RunState, runtime: Runtime[Run]) -> RunState:
    """Ask once for another wording, if no specialist can do anything with the task."""
    run = runtime.context
    if (
        run.model("planner", run.budget)
        or not run.asks
        or Planner(list(run.specialists.values())).plan(state["task"])
    ):
        return {}
    question = f"This team cannot work on that. {abilities(run)} How would you put it?"
    return {"task": ask(run, "clarify", question)}


def plan(state: RunState, runtime: Runtime[Run]) -> RunState:
    """Typed steps with dependencies, by a model that can plan or else by bids."""
    run = runtime.context
    if state.get("plan"):  # of a fork
        return {}
    steps = plan_steps(run, state["task"])
    run.emit("plan", steps=[step.model_dump(mode="json") for step in steps])
    return {"plan": steps, "results": {}, "replans": 0}


def plan_steps(run: Run, task: str, problem: str = "") -> tuple[Step, ...]:
    """The plan of a task. Rules take over where the model fails or its budget is used up."""
    team = list(run.specialists.values())
    if model := run.model("planner", run.budget):
        try:
            steps = model_plan(model, task, team, examples=run.examples, problem=problem)
        except SeedbedError as error:
            run.emit("model_failed", reason=str(error))
            steps = None
        if steps:
            return steps
    return Planner(team).plan(task)


def dispatch(state: RunState, runtime: Runtime[Run]) -> list[Send] | str:
    """Send each step whose inputs are there to its specialist, side by side; then verify."""
    if runtime.context.ended():
        return "verify"
    results, tries = state.get("results", {}), state.get("tries", {})

    def open_step(step: Step) -> bool:
        result = results.get(step.id)
        return result is None or bool(
            result.problem and step.specialist not in tries.get(step.id, ())
        )

    def ready(step: Step) -> bool:
        return all(id in results and not results[id].problem for id in step.after)

    sends = [
        Send(
            "specialist",
            StepState(
                step=step,
                inputs={id: results[id] for id in step.after},
                problem=results[step.id].problem if step.id in results else "",
            ),
        )
        for step in state["plan"]
        if open_step(step) and ready(step)
    ]
    return sends or "verify"


def specialist(state: StepState, runtime: Runtime[Run]) -> RunState:
    """One specialist does one step. A failure is a result too: the others go on."""
    run, step = runtime.context, state["step"]
    filled = step.model_copy(update={"task": fill(step.task, state["inputs"])})
    run.emit("step_started", step.id, specialist=step.specialist, task=filled.task)
    result = work(run, filled, state)
    if result.question and run.asks:
        key = f"{step.id}: {result.question}"
        answer = ask(run, key, result.question, result.options, step.id)
        filled = filled.model_copy(update={"task": clarified(filled.task, answer, result.options)})
        result = work(run, filled, state)
    run.emit("step_ended", step.id, result=result.model_dump(mode="json"))
    return {"results": {step.id: result}, "tries": {step.id: (step.specialist,)}}


def collect(state: RunState) -> RunState:  # noqa: ARG001
    """Join the steps that ran side by side: `dispatch` then sees the results of all of them."""
    return {}


def work(run: Run, step: Step, state: StepState) -> Result:
    """A step. Asks where a tool needs permission or a call is in doubt."""
    while True:
        try:
            return perform(run, step, state)
        except NeedsUser as need:
            if not run.asks:
                return Result(step=step.id, problem=need.question)
            answer = ask(run, need.key, need.question, need.options, step.id)
            run.toolbox.decide(need.key, answer)
        except SeedbedError as error:
            return Result(step=step.id, problem=str(error))


def perform(run: Run, step: Step, state: StepState) -> Result:
    """A step within its budget. Raises NeedsUser."""
    budget = run.budget.child(**run.step_limits.model_dump())
    context = Context(
        call=partial(run.toolbox.within(budget).call, step.id),
        model=run.model(step.specialist, budget),
        inputs=state["inputs"],
        problem=state["problem"],
    )
    try:
        if reason := run.ended():
            return Result(step=step.id, problem=reason)
        budget.take(steps=1)
        return run.specialists[step.specialist].work(step, context)
    except SeedbedError as error:
        return Result(step=step.id, problem=str(error))


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
    failures: dict[str, Result] = {}
    for step in state["plan"]:
        result = state["results"].get(step.id)
        if result is None or result.problem:
            continue
        inputs = {id: state["results"][id] for id in step.after}
        problem = verify_result(step, result, inputs, run.workspace)
        run.emit("verified", step.id, problem=problem)
        if problem:
            failures[step.id] = Result(step=step.id, problem=problem)
    # What was made of a result that does not hold does not hold either, and may be tried again.
    again = {
        step.id: Result(step=step.id, problem=f"It needs {id}, which does not hold.")
        for id in failures
        for step in state["plan"]
        if step.id in dependents(state["plan"], id) - failures.keys()
    }
    return {"results": failures | again, "tries": dict.fromkeys(again, ())}


def needs_replan(state: RunState, runtime: Runtime[Run]) -> str:
    """Plan again while something failed, may be tried in another way, and there is budget."""
    run, results = runtime.context, state["results"]
    failed = any(step.id in results and results[step.id].problem for step in state["plan"])
    more = state["replans"] < run.max_replans and not run.ended()
    return "replan" if failed and more else "answer"


def replan(state: RunState, runtime: Runtime[Run]) -> RunState:
    """Failed steps go to the next best specialist, or to a model that plans with the problem."""
    run = runtime.context
    problems = [r.problem for r in state["results"].values() if r.problem]
    steps: tuple[Step, ...] | None = None
    if run.model("planner", run.budget):
        steps = renumber(plan_steps(run, state["task"], "; ".join(problems)), state["plan"])
    else:
        team = list(run.specialists.values())
        steps = Planner(team).replan(state["plan"], state["results"], state.get("tries", {}))
    if steps is None:
        return {"replans": run.max_replans}
    run.emit("replanned", problems=problems, steps=[s.model_dump(mode="json") for s in steps])
    return {"plan": steps, "replans": state["replans"] + 1}


def renumber(steps: Sequence[Step], before: Sequence[Step]) -> tuple[Step, ...]:
    """New steps with ids after those of the plan before, whose results stay in the record."""
    offset = max((int(step.id[1:]) for step in before), default=0)
    ids = {step.id: f"s{offset + number}" for number, step in enumerate(steps, 1)}

    def moved(step: Step) -> Step:
        task = step.task
        for id in step.after:
            task = task.replace(f"{{{id}}}", f"{{{ids[id]}}}")
        return Step(
            id=ids[step.id],
            specialist=step.specialist,
            task=task,
            after=tuple(ids[id] for id in step.after),
        )

    return tuple(moved(step) for step in steps)


def answer(state: RunState, runtime: Runtime[Run]) -> RunState:
    """The answer from what the steps found, and what is missing."""
    run = runtime.context
    end = compose_answer(state["plan"], state["results"], run.ended(), abilities(run))
    run.emit("answer", **end.model_dump(mode="json"))
    return {"answer": end}


def abilities(run: Run) -> str:
    """What the team can do, in a sentence."""
    return " ".join(one.description for one in run.specialists.values())
