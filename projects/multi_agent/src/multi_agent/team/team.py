"""The team: starts, stops, continues, forks and replays runs.

    with open_team(load(Config), load(Settings)) as team:
        run = team.wait(team.start("How many orders were placed in May 2025?"))
        run.answer.text

Each run is in a thread of this process, which holds a lease on it and renews it. Its events are in
the run store and its state in the checkpoints, so that any process with the same database can show
it, and continue it once the lease of a dead process has ended. A process that was frozen for that
long is stopped at its next event, which the store refuses with Conflict.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.memory import InMemorySaver

from multi_agent.brain import Brain
from multi_agent.graph import Run, build_graph
from multi_agent.memory import Memory
from multi_agent.runs.budget import OverBudget
from multi_agent.runs.checkpoints import serializer
from multi_agent.runs.ledger import RecordedCalls
from multi_agent.runs.record_model import Stopped
from multi_agent.runs.store import RunRecord, RunStore
from multi_agent.specialists import Specialist, Workspace
from multi_agent.state import Answer, Limits, Result, RunState, Step, dependents
from multi_agent.team.context import run_context, started_with
from multi_agent.team.metrics import observe_event
from multi_agent.tools.toolbox import Tool
from seedbed.errors import BadInput, Conflict, NotFound, SeedbedError, TooLarge, public_message
from seedbed.observe.startup import trace_page
from seedbed.observe.telemetry import span

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from multi_agent.config import Config

log = logging.getLogger(__name__)

MAX_TASK = 8_000
"""Characters of a task."""
MAX_RUNS = 8
"""Runs of this process at the same time; more wait."""
LEASE_SECONDS = 15.0
"""Duration of a lease that is not renewed."""
RESUMABLE = ("running", "failed", "stopped")
_RUNNING = "Run {!r} is still running."


@dataclass(frozen=True)
class Replay:
    """What a replay found."""

    answer: str
    same: bool
    """Whether the answer is the one of the record."""
    calls: int
    """Calls of tools that the record answered."""
    missing: str = ""
    """The first call of a tool that is not in the record."""


class Team:
    """The team with its store; see `open_team`."""

    def __init__(
        self,
        config: Config,
        workspace: Workspace,
        tools: list[Tool],
        store: RunStore,
        checkpointer: Any,
        specialists: Mapping[str, Specialist],
        models: Mapping[str, BaseChatModel] | None = None,
        *,
        brain: Brain | None = None,
        asks: bool = True,
        verifies: bool = True,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.config, self.workspace, self._tools = config, workspace, tools
        self.store, self.memory, self.specialists = store, Memory(store), specialists
        self.models, self.brain = models or {}, brain
        self.asks, self.verifies = asks, verifies
        self.graph = build_graph(checkpointer)
        self.recovers = False
        """Whether this process continues the runs of processes that died."""
        self._holder, self._lease_seconds = secrets.token_hex(8), lease_seconds
        self._threads = ThreadPoolExecutor(MAX_RUNS, thread_name_prefix="run")
        self._runs: dict[str, Run] = {}  # of this process, by id
        self._futures: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="leases", daemon=True)
        self._renewing.start()

    @property
    def tools(self) -> list[Tool]:
        """The built-in tools, and those that MCP servers have now."""
        return [*self._tools, *self.workspace.tools]

    # What a user does

    def start(
        self, task: str, thread: str | None = None, limits: Limits | None = None, owner: str = ""
    ) -> str:
        """Start a run; returns its id at once.

        `limits` may lower those of AGENTS_BUDGET. Raises BadInput for a limit above them, and
        BadInput or TooLarge for a bad task.
        """
        task = checked_task(task)
        fact = self.memory.learn(owner, task)
        earlier = self.memory.thread(owner, thread) if thread else []
        limits = (limits or Limits()).within(Limits.parse(self.config.budget))
        record = self._create(task, owner=owner, thread=thread, limits=limits)
        if fact:
            answer = Answer(text=f"I'll remember that {fact}.", confident=True)
            self.emit(record.id, "answer", **answer.model_dump(mode="json"))
            self.store.update(record.id, status="done", answer=answer)
            self.store.release(record.id, self._holder)
            return record.id
        # A run that is resumed or replayed uses the memory that it started with.
        notes = [fact.text for fact in self.memory.facts(owner)]
        self.emit(record.id, "run_started", task=task, notes=notes, earlier=earlier)
        self._submit(record, {"task": task})
        return record.id

    def wait(self, run_id: str, timeout: float | None = None) -> RunRecord:
        """The record once a run of this process has ended or waits for the user."""
        with self._lock:
            future = self._futures.get(run_id)
        if future:
            future.result(timeout)
        return self.store.run(run_id)

    def stop(self, run_id: str) -> None:
        """Stop after the calls in progress; the run answers with what it has.

        Raises Conflict if the run has ended, or is running in another process.
        """
        if (run := self._running(run_id)) and self.store.run(run_id).status == "running":
            run.stop.set()
            return
        self._claim(run_id)
        reason = "The run was stopped."
        try:
            self.store.update(run_id, when=("running", "waiting"), status="stopped", reason=reason)
            self.emit(run_id, "stopped", reason=reason, confident=False)
        finally:
            self.store.release(run_id, self._holder)

    def usage(self, run_id: str) -> dict[str, float]:
        """What a run has spent so far, as `Budget.usage`; in another process, lately."""
        run = self._running(run_id)
        return run.budget.usage if run else self.store.run(run_id).usage

    def progress(self, run_id: str) -> tuple[tuple[Step, ...], dict[str, Result]]:
        """The plan of a run so far, and the results of its steps."""
        state = self._state(run_id)
        results: dict[str, Result] = dict(state.values.get("results", {}))
        for task in state.tasks:  # steps that ended beside one that has not
            results |= (task.result or {}).get("results", {})
        return state.values.get("plan", ()), results

    def question(self, run_id: str) -> dict[str, Any] | None:
        """The `question` of a waiting run, its `options`, `step` and `key`; None without one."""
        pending = self._state(run_id).interrupts
        return dict(pending[0].value) if pending else None

    def answer(self, run_id: str, text: str, key: str = "") -> None:
        """Answer the question of a waiting run, which continues. Raises Conflict without one.

        With a `key`, only the question that has it is answered.
        """
        record, question = self.store.run(run_id), self.question(run_id)
        if record.status != "waiting" or question is None:
            raise Conflict(f"Run {run_id!r} does not wait for an answer; it is {record.status}.")
        if key and key != question["key"]:
            raise Conflict("This question was answered already.")
        if not text.strip():
            raise BadInput("The answer is empty.", hint="Write one, or stop the run.")
        self._claim(run_id)
        self.store.update(run_id, when=("waiting",), status="running")
        answer = {"key": question["key"], "text": text.strip()}
        self.emit(run_id, "answered", question["step"], **answer)
        self._submit(record)

    def resume(self, run_id: str, *, waits: bool = True) -> None:
        """Continue a run that failed or was stopped, or whose process died.

        Steps that succeeded keep their results; the budget counts what was spent before. It `waits`
        for the lease of a dead process to end. Raises Conflict if the run is done, waits for the
        user, or is still running.
        """
        record = self.store.run(run_id)
        if record.status not in RESUMABLE:
            raise Conflict(f"Run {run_id!r} cannot be resumed; it is {record.status}.")
        if record.status == "running" and self._running(run_id):
            raise Conflict(_RUNNING.format(run_id))
        self._claim(run_id, seconds=self._lease_seconds + 1 if waits else 0.0)
        self.store.update(run_id, when=RESUMABLE, status="running", reason="")
        self.emit(run_id, "resumed")
        state = self._state(run_id)
        # A run that had ended has no tasks: what failed is open again. `next` lacks a task whose
        # results are stored already, as when its process was killed between that and a checkpoint.
        if state.values and not state.tasks:
            results = state.values["results"].items()
            self._set_state(run_id, {"results": {id: None for id, r in results if r.failure}})
        self._submit(record, None if state.values else {"task": record.task})

    def fork(self, run_id: str, step_id: str, task: str = "") -> str:
        """Start a new run from a step of another, optionally with another task for the step.

        Results that do not depend on the step are kept. Raises NotFound for an unknown run or step.
        """
        # 1. The plan with the other task, and the results that are kept.
        record, state = self.store.run(run_id), self._state(run_id).values
        plan: tuple[Step, ...] = tuple(state.get("plan", ()))
        if step_id not in {step.id for step in plan}:
            steps = ", ".join(step.id for step in plan) or "none"
            raise NotFound(f"Run {run_id!r} has no step {step_id!r}.", hint=f"Its steps: {steps}.")
        if task:
            changes = {"task": checked_task(task)}
            plan = tuple(s.model_copy(update=changes) if s.id == step_id else s for s in plan)
        redo = dependents(plan, step_id)
        results = {id: result for id, result in state["results"].items() if id not in redo}
        # 2. A run that starts with them.
        fields = {"owner": record.owner, "thread": record.thread, "limits": record.limits}
        fork = self._create(record.task, parent=run_id, **fields)
        self.emit(fork.id, "plan", steps=[step.model_dump(mode="json") for step in plan])
        for id, result in results.items():
            self.emit(fork.id, "step_ended", id, result=result.model_dump(mode="json"))
        memories: Any = started_with(self.store, run_id)
        self.emit(fork.id, "run_started", task=record.task, **memories)
        values = {"task": state["task"], "plan": plan, "results": results, "replans": 0}
        self._set_state(fork.id, values)
        self._submit(fork)
        return fork.id

    def replay(self, run_id: str) -> Replay:
        """Replay a run from its recorded calls, without a model or a tool.

        Raises Conflict if it has no answer yet, or was forked: the record of its first steps is
        then its parent's.
        """
        record = self.store.run(run_id)
        if record.answer is None or record.parent:
            what = f"is a fork of {record.parent}" if record.parent else "has no answer"
            raise Conflict(f"Run {run_id!r} cannot be replayed; it {what}.")
        calls = RecordedCalls(self.store, run_id)
        run = run_context(self, record, calls)
        graph = build_graph(InMemorySaver(serde=serializer()))
        state = graph.invoke({"task": record.task}, self._config(run_id), context=run)
        answer = state["answer"].text if "answer" in state else ""
        return Replay(answer, answer == record.answer.text, calls.count, calls.missing)

    # What a process does

    def emit(self, run_id: str, kind: str, /, step: str = "", **data: Any) -> None:
        """Record an event. Raises TakenOver, which ends the run here, if another process has it."""
        self.store.add_event(run_id, kind, step, holder=self._holder, **data)
        observe_event(kind, data)

    def recover(self) -> list[str]:
        """Continue all runs whose process died; returns their ids."""
        resumed = []
        for run_id in self.store.orphans():
            with suppress(Conflict):  # another process was quicker
                self.resume(run_id, waits=False)  # the leases of this process must be renewed
                resumed.append(run_id)
        return resumed

    def warm_up(self) -> None:
        """Load the embeddings, which the first task would wait for."""
        if self.workspace.documents:
            self.workspace.documents.search("warm up", 1)

    def close(self) -> None:
        """Stop the runs of this process, and wait for them."""
        with self._lock:
            for run in self._runs.values():
                run.stop.set()
        self._threads.shutdown(cancel_futures=True)
        self._closing.set()
        self._renewing.join()

    def _renew(self) -> None:
        """Renew the leases; stop runs that another process has taken over."""
        while not self._closing.wait(self._lease_seconds / 5):
            with self._lock:
                runs = dict(self._runs)
            try:
                held = self.store.renew(runs.keys(), self._holder, self._lease_seconds)
                for lost in runs.keys() - held:
                    runs[lost].stop.set()
                if self.recovers:
                    self.recover()
            except SeedbedError as error:
                log.warning("Leases were not renewed: %s", error)

    def _create(self, task: str, **fields: Any) -> RunRecord:
        """A new run that this process holds."""
        seconds = self._lease_seconds
        return self.store.create(task, holder=self._holder, seconds=seconds, **fields)

    def _claim(self, run_id: str, seconds: float = 0.0) -> None:
        """Take a run, waiting so long for its lease. Raises Conflict if it is running elsewhere."""
        if future := self._futures.get(run_id):  # its thread, which releases the run at its end
            wait([future], timeout=5)
        end = time.monotonic() + seconds
        while True:
            try:
                return self.store.claim(run_id, self._holder, self._lease_seconds)
            except Conflict:
                if time.monotonic() >= end:
                    raise
            time.sleep(0.1)

    def _running(self, run_id: str) -> Run | None:
        with self._lock:
            return self._runs.get(run_id)

    def _config(self, run_id: str) -> Any:
        """LangGraph's configuration for a run."""
        limits = {"max_concurrency": self.config.max_parallel, "recursion_limit": 100}
        return {"configurable": {"thread_id": run_id}, **limits}

    def _state(self, run_id: str) -> Any:
        """The last checkpoint of a run, without values if there is none."""
        return self.graph.get_state(self._config(run_id))

    def _set_state(self, run_id: str, values: dict[str, Any]) -> None:
        """Change the state of a run, which then continues with its open steps."""
        self.graph.update_state(self._config(run_id), values, as_node="plan")

    def _submit(self, record: RunRecord, graph_input: Any = None) -> None:
        """Run the graph in a thread; without an input it continues from its last checkpoint."""
        run = run_context(self, record)
        with self._lock:
            if record.id in self._runs:  # resumed twice
                raise Conflict(_RUNNING.format(record.id))
            self._runs[record.id] = run
            context = copy_context()  # the request that started it
            self._futures[record.id] = self._threads.submit(
                context.run, self._drive, record, run, graph_input
            )

    def _drive(self, record: RunRecord, run: Run, graph_input: Any) -> None:
        """Run the graph to its end, or to a question, and record which."""
        spanned = span("run", **{"multi_agent.run.id": record.id})
        try:
            with suppress(Conflict), spanned as current:  # another process has taken the run over
                if page := trace_page(current):
                    run.emit("traced", page=page)
                changes = self._invoke(record, run, graph_input)
                if changes["status"] != "waiting":
                    confident = "answer" in changes and changes["answer"].confident
                    seconds = (datetime.now(UTC) - record.created_at).total_seconds()
                    end = {"confident": confident, "seconds": round(seconds, 3)}
                    run.emit(changes["status"], reason=changes["reason"], **end)
                usage = run.budget.usage
                self.store.update(record.id, holder=self._holder, usage=usage, **changes)
        finally:
            with self._lock:
                del self._runs[record.id]
            self.store.release(record.id, self._holder)

    def _invoke(self, record: RunRecord, run: Run, graph_input: Any) -> dict[str, Any]:
        """Run the graph; returns the changes of the record."""
        config = self._config(record.id)
        try:
            state: Any = self.graph.invoke(graph_input, config, context=run, durability="sync")
        except (OverBudget, Stopped) as error:  # before there was a plan
            return {"status": "stopped", "reason": str(error)}
        except Exception as error:
            return {"status": "failed", "reason": public_message(error, log)}
        if questions := state.get("__interrupt__"):
            self._ask(record.id, **questions[0].value)
            return {"status": "waiting", "reason": questions[0].value["question"]}
        status, reason = outcome(state, run.stop_reason())
        full_task = state["task"] if state["task"] != record.task else ""
        end = {"status": status, "reason": reason, "full_task": full_task}
        return {**end, "answer": state["answer"]}

    def _ask(self, run_id: str, step: str, **question: Any) -> None:
        """Record a question, unless a process that died has done it."""
        events = self.store.events(run_id, kind="question")
        if question["key"] not in [event.data["key"] for event in events]:
            self.emit(run_id, "question", step, **question)


def outcome(state: RunState, stop_reason: str) -> tuple[str, str]:
    """The status of a run whose graph has ended, and its reason.

    >>> failed = Result(step="s1", problem="OpenAI: rate limit.", failure="model")
    >>> answer = Answer(text="I can't answer that.", confident=False)
    >>> outcome({"answer": answer, "results": {"s1": failed}}, stop_reason="")
    ('failed', 'OpenAI: rate limit.')
    """
    if state["answer"].confident:
        return "done", ""
    if stop_reason:
        return "stopped", stop_reason
    failed = [r.problem for r in state["results"].values() if r.failure == "model"]
    return ("failed", failed[0]) if failed else ("done", "")


def checked_task(task: str) -> str:
    """The task without white space around it. Raises BadInput or TooLarge."""
    text = task.strip()
    if not text:
        raise BadInput("The task is empty.", hint='Write what you want to know: solve "…".')
    if len(text) > MAX_TASK:
        raise TooLarge(
            f"The task has {len(text):,} characters; the limit is {MAX_TASK:,}.",
            hint="Put long texts into the documents folder.",
        )
    return text
