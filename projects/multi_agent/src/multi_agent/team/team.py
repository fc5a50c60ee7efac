"""The team: opens its parts, and starts, stops, continues, forks and replays runs.

    with open_team(load(Config), load(Settings)) as team:
        run = team.wait(team.start("How many orders were placed in May 2025?"))
        run.answer.text

A run works in a thread of its own. What it does is in the run store and in the checkpoints, so that
any process with the same database can show it, and go on with it after a crash.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START

from multi_agent.brain import Brain
from multi_agent.graph import Run, build_graph
from multi_agent.llm.brain import ModelBrain
from multi_agent.runs.budget import Budget, OverBudget
from multi_agent.runs.checkpoints import serializer
from multi_agent.runs.lease import LEASE_SECONDS, Leases
from multi_agent.runs.ledger import Ledger
from multi_agent.runs.record_model import RecordedModel, RunReplies, Stopped
from multi_agent.runs.replay import RecordedCalls
from multi_agent.runs.store import Event, RunRecord, RunStore
from multi_agent.runs.usage import recorded_usage
from multi_agent.specialists import Specialist, Workspace, open_specialists
from multi_agent.state import Answer, Limits, Step, dependents
from multi_agent.tools.toolbox import Tool, ToolBox
from seedbed.errors import (
    BadInput,
    ConfigError,
    Conflict,
    NotFound,
    SeedbedError,
    TooLarge,
    public_message,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from multi_agent.config import Config
    from multi_agent.memory import Memory

log = logging.getLogger(__name__)

MAX_TASK = 8_000
"""Characters of a task."""
MAX_RUNS = 8
"""Runs of this process at the same time; more wait."""


@dataclass(frozen=True)
class Replay:
    """What a replay found."""

    answer: str
    same: bool
    """Whether the answer is the one of the record."""
    calls: int
    """Calls of tools and models that the record answered."""
    missing: str = ""
    """The first call that is not in the record."""


class Team:
    """The team with its store; see `open_team`."""

    def __init__(
        self,
        config: Config,
        workspace: Workspace,
        tools: list[Tool],
        store: RunStore,
        checkpointer: Any,
        memory: Memory,
        models: Mapping[str, BaseChatModel] | None = None,
        *,
        specialists: Mapping[str, Specialist] | None = None,
        asks: bool = True,
        verifies: bool = True,
        lease_seconds: float = LEASE_SECONDS,
        brain: Brain | None = None,
    ) -> None:
        self.config, self.workspace, self._tools = config, workspace, tools
        self.store, self.memory = store, memory
        self.models = models or {}
        self._offline = brain
        self._step_limits = Limits.parse(config.step_budget, "AGENTS_STEP_BUDGET")
        self.asks, self.verifies = asks, verifies
        self.specialists = specialists or {s.name: s for s in open_specialists(workspace)}
        self.graph = build_graph(checkpointer)
        self.listeners: list[Callable[[Event], None]] = []
        """Called with each event of this process's runs, after it was stored."""
        self.recovers = False
        """Whether this process continues runs whose process dies, after `lease_seconds`."""
        self._leases = Leases(store.engine, lease_seconds)
        self._threads = ThreadPoolExecutor(MAX_RUNS, thread_name_prefix="run")
        self._active: dict[str, Run] = {}
        self._futures: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="leases", daemon=True)
        self._renewing.start()

    @property
    def tools(self) -> list[Tool]:
        """The built-in tools, and those that MCP servers have now."""
        return [*self._tools, *self.workspace.tools]

    # Runs

    def start(
        self, task: str, thread: str | None = None, limits: Limits | None = None, owner: str = ""
    ) -> str:
        """Begin a run; returns its id at once.

        `limits` may lower those of AGENTS_BUDGET. Raises BadInput for a limit above them, and
        BadInput or TooLarge for a bad task.
        """
        task = checked_task(task)
        fact = self.memory.learn(owner, task)
        earlier = self.memory.thread(owner, thread) if thread else []
        limits = (limits or Limits()).within(Limits.parse(self.config.budget))
        record = self.store.create(task, owner=owner, thread=thread, limits=limits)
        if fact:
            answer = Answer(text=f"I'll remember that {fact}.", confident=True)
            self.store.add_event(record.id, "answer", **answer.model_dump(mode="json"))
            self.store.update(record.id, status="done", answer=answer)
            return record.id
        notes = self.memory.notes(owner, " ".join([*earlier[-1:], task]))
        self._leases.claim(record.id)
        # A run that is resumed or replayed uses the memory that it started with.
        self._emit(record.id, "run_started", task=task, notes=notes, earlier=earlier)
        self._submit(record, {"task": task})
        return record.id

    def wait(self, run_id: str, timeout: float | None = None) -> RunRecord:
        """The record once a run of this process has ended or needs the user."""
        with self._lock:
            future = self._futures.get(run_id)
        if future:
            future.result(timeout)
        return self.store.run(run_id)

    def stop(self, run_id: str) -> None:
        """Stop after the calls in progress; the run answers with what it has.

        Raises Conflict if another process works on the run.
        """
        with self._lock:
            active = self._active.get(run_id)
        if active:
            active.stop.set()
            return
        if not self._leases.claim(run_id):
            raise Conflict(f"Run {run_id!r} is at work in another process.")
        self.store.update(run_id, when=("running", "waiting"), status="stopped")
        self.store.add_event(run_id, "stopped")
        self._leases.release(run_id)

    def usage(self, run_id: str) -> dict[str, float]:
        """What a run has spent so far, as `Budget.usage`."""
        with self._lock:
            active = self._active.get(run_id)
        if active:
            return active.budget.usage
        record = self.store.run(run_id)  # at rest, or at work in another process
        return recorded_usage(self.store, run_id) if record.status == "running" else record.usage

    def question(self, run_id: str) -> dict[str, Any] | None:
        """What a waiting run asks: `question`, `options`, `step`, `key`; None if nothing."""
        pending = self._interrupts(run_id)
        return dict(pending[0].value) if pending else None

    def answer(self, run_id: str, text: str) -> None:
        """Answer the question of a waiting run, which goes on. Raises Conflict without one."""
        record = self.store.run(run_id)
        pending = self._interrupts(run_id)
        if record.status != "waiting" or not pending:
            raise Conflict(f"Run {run_id!r} does not wait for an answer; it is {record.status}.")
        if not text.strip():
            raise BadInput("The answer is empty.", hint="Write one, or stop the run.")
        if not self._leases.claim(run_id):
            raise Conflict(f"Run {run_id!r} is at work in another process.")
        step, key = pending[0].value["step"], pending[0].value["key"]
        self.store.add_event(run_id, "answered", step, key=key, text=text.strip())
        self.store.update(run_id, when=("waiting",), status="running")
        self._submit(record, None)

    def resume(self, run_id: str) -> None:
        """Continue a run whose process died, once its lease has ended.

        Raises Conflict if it has ended, waits for the user, or is at work.
        """
        record = self.store.run(run_id)
        if record.status != "running":
            raise Conflict(f"Run {run_id!r} cannot be resumed; it is {record.status}.")
        with self._lock:
            if run_id in self._active:
                raise Conflict(f"Run {run_id!r} is at work.")
        end = time.monotonic() + self._leases.seconds + 1
        while not self._leases.claim(run_id):
            if time.monotonic() > end:
                raise Conflict(f"Run {run_id!r} is at work in another process.")
            time.sleep(0.1)
        self._emit(run_id, "resumed")
        stored = self.graph.get_state(self._thread(run_id)).values
        self._submit(record, None if stored else {"task": record.task})

    def recover(self) -> list[str]:
        """Continue all runs whose process died; returns their ids."""
        resumed = []
        for run_id in self._leases.orphans():
            with suppress(Conflict):  # another process was quicker
                self.resume(run_id)
                resumed.append(run_id)
        return resumed

    def fork(self, run_id: str, step_id: str, task: str = "") -> str:
        """A new run from a step on, with another task for it; what does not need it is kept.

        Raises NotFound for an unknown run or step.
        """
        record = self.store.run(run_id)
        state = self.graph.get_state(self._thread(run_id)).values
        plan: tuple[Step, ...] = tuple(state.get("plan", ()))
        if step_id not in {step.id for step in plan}:
            steps = ", ".join(step.id for step in plan) or "none"
            raise NotFound(f"Run {run_id!r} has no step {step_id!r}.", hint=f"Its steps: {steps}.")
        redo = dependents(plan, step_id)
        if task:
            changes = {"task": checked_task(task)}
            plan = tuple(s.model_copy(update=changes) if s.id == step_id else s for s in plan)
        results = {id: r for id, r in state["results"].items() if id not in redo}
        fork = self.store.create(
            record.task,
            owner=record.owner,
            thread=record.thread,
            limits=record.limits,
            parent=run_id,
        )
        self._leases.claim(fork.id)
        self._emit(fork.id, "run_started", "", task=record.task, **self._memories(run_id))
        self._emit(fork.id, "plan", steps=[step.model_dump(mode="json") for step in plan])
        for id, result in results.items():
            self._emit(fork.id, "step_ended", id, result=result.model_dump(mode="json"))
        values = {"task": record.task, "plan": plan, "results": results, "replans": 0}
        self.graph.update_state(self._thread(fork.id), values, as_node=START)
        self._submit(fork, None)
        return fork.id

    def replay(self, run_id: str) -> Replay:
        """Work a run out again from its record, without a model or a tool.

        Raises Conflict if it has no answer yet, or was forked: the record of its first steps is
        then its parent's.
        """
        record = self.store.run(run_id)
        if record.answer is None or record.parent:
            what = f"is a fork of {record.parent}" if record.parent else "has no answer"
            raise Conflict(f"Run {run_id!r} cannot be replayed; it {what}.")
        calls = RecordedCalls(self.store, run_id)
        toolbox = ToolBox(self.tools, calls, self.config.permissions, Budget(), lambda *_: None)
        replies = RunReplies(self.store, run_id)

        def model(role: str, budget: Budget) -> BaseChatModel | None:  # noqa: ARG001
            return RecordedModel(role=role, replies=replies) if role in calls.names else None

        recorded = self._run(record)
        for key, text in recorded.answers.items():
            toolbox.decide(key, text)
        run = replace(
            recorded,
            toolbox=toolbox,
            budget=Budget(),
            emit=lambda *_, **__: None,
            model=model,
            brain=partial(self._brain, record, model, self._memories(run_id)["notes"]),
            step_limits=Limits(),
        )
        graph, config = build_graph(InMemorySaver(serde=serializer())), self._thread(run_id)
        state = graph.invoke({"task": record.task}, config, context=run)
        answer = state["answer"].text if "answer" in state else ""
        return Replay(answer, answer == record.answer.text, calls.count, calls.missing)

    def warm_up(self) -> None:
        """Load what the first task would wait for: parsers, units of measurement, embeddings."""
        if self.workspace.documents:
            self.workspace.documents.search("warm up", 1)

    def picture(self) -> str:
        """The graph as Mermaid text."""
        return self.graph.get_graph().draw_mermaid()

    def close(self) -> None:
        """Stop the runs at work and wait for them."""
        with self._lock:
            for run in self._active.values():
                run.stop.set()
        self._threads.shutdown(cancel_futures=True)
        self._closing.set()
        self._renewing.join()

    # Inside

    def _thread(self, run_id: str) -> Any:
        """The configuration of the graph for a run."""
        limits = {"max_concurrency": self.config.max_parallel, "recursion_limit": 100}
        return {"configurable": {"thread_id": run_id}, **limits}

    def _interrupts(self, run_id: str) -> tuple[Any, ...]:
        return tuple(self.graph.get_state(self._thread(run_id)).interrupts)

    def _renew(self) -> None:
        """Keep the leases of the runs at work; stop those that were taken over."""
        while not self._closing.wait(self._leases.seconds / 5):
            with self._lock:
                active = dict(self._active)
            try:
                for lost in self._leases.renew(active.keys()):
                    active[lost].stop.set()
                if self.recovers:
                    self.recover()
            except SeedbedError as error:
                log.warning("Leases were not renewed: %s", error)

    def _submit(self, record: RunRecord, graph_input: Any) -> None:
        run = self._run(record)
        with self._lock:
            # Once more: the drive before may just have released it.
            if not self._leases.claim(record.id):
                raise Conflict(f"Run {record.id!r} is at work in another process.")
            self._active[record.id] = run
            self._futures[record.id] = self._threads.submit(self._drive, record, run, graph_input)

    def _run(self, record: RunRecord) -> Run:
        """The context of the graph for a run, new or continued."""
        budget = Budget(**record.limits.model_dump())
        budget.restore(recorded_usage(self.store, record.id))
        emit = partial(self._emit, record.id)
        events = self.store.events(record.id, kind="answered")
        answers = {event.data["key"]: event.data["text"] for event in events}
        ledger = Ledger(self.store, record.id)
        toolbox = ToolBox(
            self.tools,
            ledger,
            self.config.permissions,
            budget,
            lambda kind, step, data: emit(kind, step, **data),
        )
        for key, text in answers.items():
            toolbox.decide(key, text)
        stop = threading.Event()
        model = partial(self._model, RunReplies(self.store, record.id), stop)
        memories = self._memories(record.id)
        return Run(
            id=record.id,
            workspace=self.workspace,
            specialists=self.specialists,
            toolbox=toolbox,
            budget=budget,
            emit=emit,
            brain=partial(self._brain, record, model, memories["notes"]),
            model=model,
            step_limits=self._step_limits,
            answers=answers,
            earlier=memories["earlier"],
            max_replans=self.config.max_replans,
            asks=self.asks,
            verifies=self.verifies,
            stop=stop,
        )

    def _memories(self, run_id: str) -> dict[str, list[str]]:
        """The `notes` that a run started with, and the `earlier` tasks of its thread."""
        started = self.store.events(run_id, kind="run_started")
        return {
            key: started[0].data.get(key, []) if started else [] for key in ("notes", "earlier")
        }

    def _emit(self, run_id: str, kind: str, /, step: str = "", **data: Any) -> None:
        """Record an event. Raises Conflict, which ends the run here, if it was taken over."""
        if not self._leases.held(run_id):
            raise Conflict(f"Run {run_id!r} is at work in another process.")
        event = self.store.add_event(run_id, kind, step, **data)
        for listener in self.listeners:
            listener(event)

    def _ask(self, run_id: str, step: str, **question: Any) -> None:
        """Record a question, unless a process that died has done it."""
        events = self.store.events(run_id, kind="question")
        if question["key"] not in [event.data["key"] for event in events]:
            self._emit(run_id, "question", step, **question)

    def _model(
        self, replies: RunReplies, stop: threading.Event, role: str, budget: Budget
    ) -> BaseChatModel | None:
        """The model of a role: within a budget, and recorded, so that no call is made twice."""
        if (model := self.models.get(role)) is None:
            return None
        fields: dict[str, Any] = {"replies": replies, "budget": budget, "stopped": stop}
        return RecordedModel(role=role, model=model, **fields)

    def _brain(
        self,
        record: RunRecord,
        model: Callable[[str, Budget], BaseChatModel | None],
        notes: list[str],
        role: str,
        budget: Budget,
    ) -> Brain:
        """The brain of a role: its model's, or else the one without a model."""
        if chat := model(role, budget):
            return ModelBrain(chat, self.workspace, notes=notes, today=record.created_at.date())
        if self._offline is None:
            raise ConfigError(f"No model for the {role}.", hint="Set SEEDBED_MODEL=openai:….")
        return self._offline

    def _drive(self, record: RunRecord, run: Run, graph_input: Any) -> None:
        """Run the graph to its end, or to a question, and record which."""
        changes: dict[str, Any] = {"status": "failed"}
        try:
            state = self.graph.invoke(
                graph_input, self._thread(record.id), context=run, durability="sync"
            )
            if questions := state.get("__interrupt__"):
                changes = {"status": "waiting", "reason": questions[0].value["question"]}
                self._ask(record.id, **questions[0].value)
            else:
                reason = "" if state["answer"].confident else run.stop_reason()
                changes = {"answer": state["answer"], "status": "stopped" if reason else "done"}
                changes["reason"] = reason
                changes["full_task"] = state["task"] if state["task"] != record.task else ""
                # A plan made after a failure, or its fork, may repeat texts of documents and tools.
                first_plan = not state["replans"] and not record.parent
                if first_plan and state["answer"].confident and not state["answer"].missing:
                    task, plan = state["task"], state["plan"]
                    self.memory.add_example(record.owner, record.id, task, plan)
        except Exception as error:
            stopped = isinstance(error, Stopped | OverBudget)  # before there was a plan
            changes["status"] = "stopped" if stopped else "failed"
            changes["reason"] = public_message(error, log)
            with suppress(Conflict):
                run.emit(changes["status"], reason=changes["reason"])
        finally:
            if self._leases.held(record.id):
                self.store.update(record.id, usage=run.budget.usage, **changes)
            with self._lock:
                if self._active.get(record.id) is run:  # not yet answered and continued
                    del self._active[record.id]
                    self._leases.release(record.id)


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
