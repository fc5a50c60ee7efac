"""The team: starts, stops, continues, forks and replays runs.

    with open_team(load(Config), load(Settings)) as team:
        run = team.wait(team.start("How many orders were placed in May 2025?"))
        run.answer.text

The events of a run are in the run store and its state in the checkpoints, so that any process with
the same database can show it, and continue it after a crash.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.memory import InMemorySaver

from multi_agent.brain import Brain
from multi_agent.graph import Run, build_graph
from multi_agent.llm.brain import ModelBrain
from multi_agent.runs.budget import Budget
from multi_agent.runs.checkpoints import serializer
from multi_agent.runs.lease import LEASE_SECONDS
from multi_agent.runs.ledger import Ledger
from multi_agent.runs.record_model import RecordedModel, RunReplies
from multi_agent.runs.replay import RecordedCalls
from multi_agent.runs.store import RunRecord, RunStore
from multi_agent.runs.usage import recorded_usage
from multi_agent.specialists import Specialist, Workspace, open_specialists
from multi_agent.state import Answer, Limits, Step, dependents
from multi_agent.team.drive import Driver, failed_by_model
from multi_agent.tools.toolbox import Tool, ToolBox
from seedbed.errors import BadInput, ConfigError, Conflict, NotFound, TooLarge

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from multi_agent.config import Config
    from multi_agent.memory import Memory

MAX_TASK = 8_000
"""Characters of a task."""


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
        self.recovers = False
        """Whether this process continues the runs of processes that died."""
        self._driver = Driver(
            store,
            memory,
            self.graph,
            max_parallel=config.max_parallel,
            lease_seconds=lease_seconds,
        )
        self._driver.on_renewal = lambda: self.recovers and self.recover()
        self.listeners = self._driver.listeners

    @property
    def tools(self) -> list[Tool]:
        """The built-in tools, and those that MCP servers have now."""
        return [*self._tools, *self.workspace.tools]

    # Runs

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
        record = self.store.create(task, owner=owner, thread=thread, limits=limits)
        if fact:
            answer = Answer(text=f"I'll remember that {fact}.", confident=True)
            self.store.add_event(record.id, "answer", **answer.model_dump(mode="json"))
            self.store.update(record.id, status="done", answer=answer)
            return record.id
        notes = self.memory.notes(owner, " ".join([*earlier[-1:], task]))
        self._driver.claim(record.id)
        # A run that is resumed or replayed uses the memory that it started with.
        self._driver.emit(record.id, "run_started", task=task, notes=notes, earlier=earlier)
        self._driver.submit(record, self._context(record), {"task": task})
        return record.id

    def wait(self, run_id: str, timeout: float | None = None) -> RunRecord:
        """The record once a run of this process has ended or waits for the user."""
        self._driver.wait(run_id, timeout)
        return self.store.run(run_id)

    def stop(self, run_id: str) -> None:
        """Stop after the calls in progress; the run answers with what it has.

        Raises Conflict if the run has ended, or is running in another process.
        """
        if run := self._driver.running(run_id):
            run.stop.set()
            return
        self._driver.claim(run_id)
        self.store.update(run_id, when=("running", "waiting"), status="stopped")
        self._driver.emit(run_id, "stopped", reason="The run was stopped.", confident=False)
        self._driver.leases.release(run_id)

    def usage(self, run_id: str) -> dict[str, float]:
        """What a run has spent so far, as `Budget.usage`; in another process, lately."""
        run = self._driver.running(run_id)
        return run.budget.usage if run else self.store.run(run_id).usage

    def question(self, run_id: str) -> dict[str, Any] | None:
        """The `question` of a waiting run, its `options`, `step` and `key`; None without one."""
        pending = self._driver.state(run_id).interrupts
        return dict(pending[0].value) if pending else None

    def answer(self, run_id: str, text: str) -> None:
        """Answer the question of a waiting run, which continues. Raises Conflict without one."""
        record, question = self.store.run(run_id), self.question(run_id)
        if record.status != "waiting" or question is None:
            raise Conflict(f"Run {run_id!r} does not wait for an answer; it is {record.status}.")
        if not text.strip():
            raise BadInput("The answer is empty.", hint="Write one, or stop the run.")
        self._driver.claim(run_id)
        self._driver.emit(
            run_id, "answered", question["step"], key=question["key"], text=text.strip()
        )
        self.store.update(run_id, when=("waiting",), status="running")
        self._driver.submit(record, self._context(record))

    def resume(self, run_id: str) -> None:
        """Continue a run that failed, or whose process died, once its lease has ended.

        Steps that succeeded keep their results. Raises Conflict if the run is done or stopped,
        waits for the user, or is still running.
        """
        record = self.store.run(run_id)
        if record.status not in ("running", "failed"):
            raise Conflict(f"Run {run_id!r} cannot be resumed; it is {record.status}.")
        if self._driver.running(run_id):
            raise Conflict(f"Run {run_id!r} is still running.")
        self._driver.claim(run_id, self._driver.leases.seconds + 1)
        self.store.update(run_id, when=("running", "failed"), status="running", reason="")
        self._driver.emit(run_id, "resumed")
        state = self._driver.state(run_id).values
        if failed := failed_by_model(state.get("results", {})):
            self._driver.set_state(run_id, {"results": dict.fromkeys(failed)})  # None removes
        self._driver.submit(record, self._context(record), None if state else {"task": record.task})

    def recover(self) -> list[str]:
        """Continue all runs whose process died; returns their ids."""
        resumed = []
        for run_id in self._driver.leases.orphans():
            with suppress(Conflict):  # another process was quicker
                self.resume(run_id)
                resumed.append(run_id)
        return resumed

    def fork(self, run_id: str, step_id: str, task: str = "") -> str:
        """Start a new run from a step of another, optionally with another task for the step.

        Results that do not depend on the step are kept. Raises NotFound for an unknown run or step.
        """
        # 1. The plan with the other task, and the results that are kept.
        record, state = self.store.run(run_id), self._driver.state(run_id).values
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
        fork = self.store.create(
            record.task,
            owner=record.owner,
            thread=record.thread,
            limits=record.limits,
            parent=run_id,
        )
        self._driver.claim(fork.id)
        emit = partial(self._driver.emit, fork.id)
        emit("plan", steps=[step.model_dump(mode="json") for step in plan])
        for id, result in results.items():
            emit("step_ended", id, result=result.model_dump(mode="json"))
        emit("run_started", "", task=record.task, **self._memories(run_id))
        values = {"task": state["task"], "plan": plan, "results": results, "replans": 0}
        self._driver.set_state(fork.id, values)
        self._driver.submit(fork, self._context(fork))
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
        run = self._context(record, calls)
        graph = build_graph(InMemorySaver(serde=serializer()))
        state = graph.invoke({"task": record.task}, self._driver.config(run_id), context=run)
        answer = state["answer"].text if "answer" in state else ""
        return Replay(answer, answer == record.answer.text, calls.count, calls.missing)

    def warm_up(self) -> None:
        """Load the embeddings, which the first task would wait for."""
        if self.workspace.documents:
            self.workspace.documents.search("warm up", 1)

    def close(self) -> None:
        """Stop the runs of this process, and wait for them."""
        self._driver.close()

    # What the nodes of the graph use

    def _context(self, record: RunRecord, calls: RecordedCalls | None = None) -> Run:
        """The context of the graph for a run, new or continued; with its `calls`, for a replay."""
        # 1. The budget, with what was spent before.
        budget = Budget() if calls else Budget(**record.limits.model_dump())
        if not calls:
            budget.restore(recorded_usage(self.store, record.id))

        def emit(kind: str, step: str = "", /, **data: Any) -> None:
            if not calls:
                self._driver.emit(record.id, kind, step, **data)

        # 2. Tools, with the decisions of the user.
        toolbox = ToolBox(
            self.tools,
            calls or Ledger(self.store, record.id),
            self.config.permissions,
            budget,
            lambda kind, step, data: emit(kind, step, **data),
        )
        answered = self.store.events(record.id, kind="answered")
        answers = {event.data["key"]: event.data["text"] for event in answered}
        for key, text in answers.items():
            toolbox.decide(key, text)
        # 3. Models and brains, with the memory that the run started with.
        stop, replies = threading.Event(), RunReplies(self.store, record.id)
        memories = self._memories(record.id)

        def model(role: str, budget: Budget) -> BaseChatModel | None:
            if role not in (calls.names if calls else self.models):
                return None
            chat: Any = None if calls else self.models[role]
            return RecordedModel(
                role=role, model=chat, replies=replies, budget=budget, stopped=stop
            )

        def brain(role: str, budget: Budget) -> Brain:
            if chat := model(role, budget):
                today, notes = record.created_at.date(), memories["notes"]
                return ModelBrain(chat, self.workspace, notes=notes, today=today)
            if self._offline is None:
                raise ConfigError(f"No model for the {role}.", hint="Set SEEDBED_MODEL=openai:….")
            return self._offline

        return Run(
            id=record.id,
            workspace=self.workspace,
            specialists=self.specialists,
            toolbox=toolbox,
            budget=budget,
            emit=emit,
            brain=brain,
            model=model,
            step_limits=Limits() if calls else self._step_limits,
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
        data = started[0].data if started else {}  # its process died at once
        return {key: data.get(key, []) for key in ("notes", "earlier")}


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
