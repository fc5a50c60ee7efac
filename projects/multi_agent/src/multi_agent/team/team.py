"""The team: starts, stops, continues and erases runs.

    with open_team(load(Config), load(Settings)) as team:
        run = team.wait(team.start("How many orders were placed in May 2025?"))
        run.answer.text

Each run is in a thread of this process, which has a lease on it and renews it. Its events are in
the run store and its state in the checkpoints, so that any process with the same database can show
it, and continue it once the lease of a dead process has ended. A process that was frozen for that
long is stopped at its next event, which the store refuses with Conflict.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from multi_agent.brain import Brain
from multi_agent.brain.llm import ModelBrain
from multi_agent.graph import RunContext, build_graph
from multi_agent.runs.budget import Budget, OverBudget
from multi_agent.runs.ledger import Ledger
from multi_agent.runs.record_model import RecordedModel, Stopped
from multi_agent.runs.state import Limits, Result, RunState, Step
from multi_agent.runs.store import RunRecord, RunStore
from multi_agent.specialists import Specialist, Workspace
from multi_agent.tools.memory import OWNER, erase_facts
from multi_agent.tools.toolbox import Tool, ToolBox
from seedbed.errors import BadInput, ConfigError, Conflict, SeedbedError, TooLarge, public_message
from seedbed.observe.telemetry import span

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.store.base import BaseStore

    from multi_agent.config import Config

log = logging.getLogger(__name__)

MAX_TASK = 8_000
"""Characters of a task."""
MAX_RUNS = 8
"""Runs of this process at the same time; more wait."""
MAX_EARLIER = 5
"""Tasks of its thread that a follow-up may refer to."""
LEASE_SECONDS = 15.0
"""Duration of a lease that is not renewed."""
RESUMABLE = ("running", "failed", "stopped")
_RUNNING = "Run {!r} is still running."


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
        memory: BaseStore | None = None,
        asks: bool = True,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.config, self.workspace = config, workspace
        self.tools = [*tools, *workspace.tools]
        """The built-in tools, and those of the operator."""
        self.store, self.specialists, self._memory = store, specialists, memory
        self.models, self.brain, self.asks = models or {}, brain, asks
        self.graph, self._checkpointer = build_graph(checkpointer), checkpointer
        self.recovers = False
        """Whether this process continues the runs of processes that died."""
        self._holder, self._lease_seconds = secrets.token_hex(8), lease_seconds
        self._threads = ThreadPoolExecutor(MAX_RUNS, thread_name_prefix="run")
        self._runs: dict[str, RunContext] = {}  # of this process, by id
        self._closing, self._closed = threading.Event(), threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="leases", daemon=True)
        self._renewing.start()

    # What a user does

    def start(
        self, task: str, thread: str | None = None, limits: Limits | None = None, owner: str = ""
    ) -> str:
        """Start a run; returns its id at once.

        `limits` may lower those of AGENTS_BUDGET. Raises BadInput for a limit above them, and
        BadInput or TooLarge for a bad task.
        """
        task = checked_task(task)
        limits = (limits or Limits()).within(Limits.parse(self.config.budget))
        lease: dict[str, Any] = {"holder": self._holder, "seconds": self._lease_seconds}
        record = self.store.create(task, owner=owner, thread=thread, limits=limits, **lease)
        self._submit(record, {"task": task})
        return record.id

    def wait(self, run_id: str, timeout: float | None = None) -> RunRecord:
        """The record once a run of this process has ended or waits for the user.

        Raises the error that prevented recording its end, if any.
        """
        if run := self._runs.get(run_id):
            run.ended.wait(timeout)
            if run.failure:
                raise run.failure
        return self.store.run(run_id)

    def stop(self, run_id: str) -> None:
        """Stop after the calls in progress; the run answers with what it has.

        Raises Conflict if the run has ended, or is running in another process.
        """
        if (run := self._runs.get(run_id)) and self.store.run(run_id).status == "running":
            run.stop.set()
            return
        self._claim(run_id)
        try:
            reason = "The run was stopped."
            self.store.update(run_id, when=("running", "waiting"), status="stopped", reason=reason)
            self.emit(run_id, "stopped", reason=reason, confident=False)
        finally:
            self.store.release(run_id, self._holder)

    def usage(self, run_id: str) -> dict[str, float]:
        run = self._runs.get(run_id)
        return run.budget.usage if run else self.store.run(run_id).usage

    def progress(self, run_id: str) -> tuple[tuple[Step, ...], dict[str, Result]]:
        state = self._state(run_id)
        results: dict[str, Result] = dict(state.values.get("results", {}))
        for task in state.tasks:  # steps that ended beside one that has not
            results |= (task.result or {}).get("results", {})
        return state.values.get("plan", ()), results

    def question(self, run_id: str) -> dict[str, Any] | None:
        """The `question` of a waiting run, its `options`, `step` and `key`; None without one."""
        pending = self._state(run_id).interrupts
        return dict(pending[0].value) if pending else None

    def reply(self, run_id: str, text: str, key: str) -> None:
        """Answer the question of a waiting run that has this key; the run then continues.

        Raises Conflict without such a question: a reply that is sent twice must not allow the next
        action, too.
        """
        record, question = self.store.run(run_id), self.question(run_id)
        if record.status != "waiting" or question is None:
            raise Conflict(f"Run {run_id!r} does not wait for an answer; it is {record.status}.")
        if key != question["key"]:
            raise Conflict("This is not the question that the run waits for.")
        if not text.strip():
            raise BadInput("The answer is empty.", hint="Write one, or stop the run.")
        self._claim(run_id)
        self.store.update(run_id, when=("waiting",), status="running")
        self.emit(run_id, "answered", question["step"], key=key, text=text.strip())
        self._submit(record)

    def resume(self, run_id: str) -> None:
        """Continue a run that failed or was stopped, or whose process died.

        Steps that succeeded keep their results; the budget counts what was spent before. Raises
        Conflict if the run is done, waits for the user, or if a process has it, or had it
        LEASE_SECONDS ago.
        """
        record = self.store.run(run_id)
        if record.status not in RESUMABLE:
            raise Conflict(f"Run {run_id!r} cannot be resumed; it is {record.status}.")
        if record.status == "running" and run_id in self._runs:
            raise Conflict(_RUNNING.format(run_id))
        self._claim(run_id)
        self.store.update(run_id, when=RESUMABLE, status="running", reason="")
        self.emit(run_id, "resumed")
        state = self._state(run_id)
        # A run that had ended has no tasks: what failed is open again. `next` lacks a task whose
        # results are stored already, as when its process was killed between that and a checkpoint.
        if state.values and not state.tasks:
            failed = {id: None for id, r in state.values["results"].items() if r.failure}
            self.graph.update_state(self._config(run_id), {"results": failed}, as_node="plan")
        self._submit(record, None if state.values else {"task": record.task})

    def erase(self, run_id: str) -> None:
        """Erase a run: its task, events, calls and checkpoints. Raises Conflict while it runs."""
        if self.store.run(run_id).status == "running":
            raise Conflict(_RUNNING.format(run_id), hint="Stop it first.")
        self._claim(run_id)
        self._checkpointer.delete_thread(run_id)
        self.store.delete(run_id)

    def erase_memory(self, owner: str) -> None:
        if self._memory is not None:
            erase_facts(self._memory, owner)

    # What a process does

    def emit(self, run_id: str, kind: str, /, step: str = "", **data: Any) -> None:
        """Record an event. Raises TakenOver, which ends the run here, if another process has it."""
        self.store.add_event(run_id, kind, step, holder=self._holder, **data)

    def recover(self) -> list[str]:
        """Continue all runs whose process died or was stopped; returns their ids."""
        resumed = []
        for run_id in self.store.orphans():
            with suppress(Conflict):  # another process was quicker
                self.resume(run_id)
                resumed.append(run_id)
        return resumed

    def close(self) -> None:
        """End the runs of this process, and wait for them.

        They are stopped; with `recovers`, they stay as they are for the next server.
        """
        self._closing.set()
        for run in list(self._runs.values()):
            run.stop.set()
        self._threads.shutdown(cancel_futures=True)
        for run in self._runs.values():  # runs that never got a thread
            run.ended.set()
        self._closed.set()
        self._renewing.join()

    def _renew(self) -> None:
        """Renew the leases; stop runs that another process has taken over."""
        while not self._closed.wait(self._lease_seconds / 5):
            runs = dict(self._runs)
            try:
                own_ids = self.store.renew(runs.keys(), self._holder, self._lease_seconds)
                for run_id in runs.keys() - own_ids:
                    runs[run_id].stop.set()
                if self.recovers and not self._closing.is_set():
                    self.recover()
            except Exception as error:  # of a database driver, too: this thread must go on
                log.warning("Leases were not renewed, or runs not resumed: %s", error)

    def _claim(self, run_id: str) -> None:
        """Take the lease of a run. Raises Conflict if it is running elsewhere."""
        if run := self._runs.get(run_id):  # its thread releases the lease when it ends
            run.ended.wait(5)
        self.store.claim(run_id, self._holder, self._lease_seconds)

    def _config(self, run_id: str) -> Any:
        limits = {"max_concurrency": self.config.max_parallel, "recursion_limit": 100}
        return {"configurable": {"thread_id": run_id}, **limits}

    def _state(self, run_id: str) -> Any:
        return self.graph.get_state(self._config(run_id))

    def _context(self, record: RunRecord) -> RunContext:
        """What the nodes of the graph use for a run, new or continued."""
        # 1. The budget, with what was spent before.
        ledger, budget = Ledger(self.store, record.id), Budget(**record.limits.model_dump())
        budget.restore(ledger.usage())
        emit = partial(self.emit, record.id)
        # 2. Tools, with the decisions of the user.
        toolbox = ToolBox(self.tools, ledger, self.config.permissions, budget, emit)
        for event in self.store.events(record.id, kind="answered"):
            toolbox.decide(event.data["key"], event.data["text"])
        # 3. Models and brains.
        stop, today = threading.Event(), record.created_at.date()

        def model(role: str) -> BaseChatModel | None:
            if role not in self.models:
                return None
            chat: Any = self.models[role]
            return RecordedModel(role=role, model=chat, ledger=ledger, budget=budget, stopped=stop)

        def brain(role: str) -> Brain:
            if chat := model(role):
                return ModelBrain(chat, self.workspace, today=today)
            if self.brain is None:
                raise ConfigError(f"No model for the {role}.", hint="Set SEEDBED_MODEL=openai:….")
            return self.brain

        # 4. The tasks before this one in its thread.
        thread = {"owner": record.owner, "thread": record.thread}
        earlier = self.store.runs(MAX_EARLIER, **thread, before=record.created_at)
        parts = (self.workspace, self.specialists, toolbox, budget, emit, brain, model)
        return RunContext(
            *parts,
            earlier=[run.full_task or run.task for run in reversed(earlier)],
            max_replans=self.config.max_replans,
            asks=self.asks,
            stop=stop,
        )

    def _submit(self, record: RunRecord, graph_input: Any = None) -> None:
        """Run the graph in a thread; without an input it continues from its last checkpoint."""
        run = self._context(record)
        if self._runs.setdefault(record.id, run) is not run:  # resumed twice
            raise Conflict(_RUNNING.format(record.id))
        context = copy_context()  # the request that started it
        self._threads.submit(context.run, self._drive, record, run, graph_input)

    def _drive(self, record: RunRecord, run: RunContext, graph_input: Any) -> None:
        """Run the graph to its end, or to a question, and record which."""
        OWNER.set(record.owner)
        run_span = span("run", **{"multi_agent.run.id": record.id})
        try:
            with suppress(Conflict), run_span:  # another process has taken the run over
                run.budget.start()
                run.emit("run_started" if graph_input else "continued", task=record.task)
                changes = self._run_graph(record, run, graph_input)
                ended = changes["status"] != "waiting"
                if ended and self.recovers and self._closing.is_set():
                    return  # it is an orphan, which the next server continues
                if ended:
                    confident = "answer" in changes and changes["answer"].confident
                    run.emit(changes["status"], reason=changes["reason"], confident=confident)
                usage = run.budget.usage
                self.store.update(record.id, holder=self._holder, usage=usage, **changes)
        except Exception as error:
            run.failure = error
            log.warning("The end of run %s was not recorded: %s", record.id, public_message(error))
        finally:
            with suppress(SeedbedError):
                self.store.release(record.id, self._holder)
            del self._runs[record.id]
            run.ended.set()

    def _run_graph(self, record: RunRecord, run: RunContext, graph_input: Any) -> dict[str, Any]:
        """Run the graph; returns the changes of the record."""
        config = self._config(record.id)
        try:
            state: Any = self.graph.invoke(graph_input, config, context=run, durability="sync")
        except (OverBudget, Stopped) as error:  # before there was a plan
            return {"status": "stopped", "reason": str(error)}
        except Exception as error:
            return {"status": "failed", "reason": public_message(error, log)}
        if interrupts := state.get("__interrupt__"):
            question = dict(interrupts[0].value)
            events = self.store.events(record.id, kind="question")  # of a process that was killed
            if question["key"] not in [event.data["key"] for event in events]:
                run.emit("question", question.pop("step"), **question)
            return {"status": "waiting", "reason": question["question"]}
        status, reason = outcome(state, run.stop_reason())
        full_task = state["task"] if state["task"] != record.task else ""
        end = {"full_task": full_task, "answer": state["answer"]}
        return {"status": status, "reason": reason, **end}


def outcome(state: RunState, stop_reason: str) -> tuple[str, str]:
    """The status of a run whose graph has ended, and its reason."""
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
        problem = f"The task has {len(text):,} characters; the limit is {MAX_TASK:,}."
        raise TooLarge(problem, hint="Put long texts into the documents folder.")
    return text
