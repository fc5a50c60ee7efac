"""Drives runs: each in a thread of this process, which holds a lease on it and renews it.

    driver = Driver(store, memory, graph, max_parallel=3)
    driver.claim("r1")                         # raises Conflict if another process is running it
    driver.submit(record, run, {"task": "…"})  # until the run ends or waits for the user
    driver.wait("r1")

Another process may claim a run whose lease has ended. One that was frozen for that long is stopped
at its next event: `emit` raises Conflict.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from langgraph.graph import START

from multi_agent.graph import Run
from multi_agent.memory import Memory
from multi_agent.runs.budget import OverBudget
from multi_agent.runs.lease import LEASE_SECONDS, Leases
from multi_agent.runs.record_model import Stopped
from multi_agent.runs.store import Event, RunRecord, RunStore
from multi_agent.state import Result, RunState
from seedbed.errors import Conflict, SeedbedError, public_message

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import StateSnapshot

log = logging.getLogger(__name__)

MAX_RUNS = 8
"""Runs of this process at the same time; more wait."""


class Driver:
    """The runs of this process."""

    def __init__(
        self,
        store: RunStore,
        memory: Memory,
        graph: CompiledStateGraph[Any, Run, Any, Any],
        *,
        max_parallel: int,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._store, self._memory, self._graph = store, memory, graph
        self._max_parallel = max_parallel
        self.listeners: list[Callable[[Event], None]] = []
        """Called with each event of this process's runs, after it was stored."""
        self.on_renewal: Callable[[], object] = lambda: None
        """Called after each renewal of the leases."""
        self.leases = Leases(store.engine, lease_seconds)
        self._threads = ThreadPoolExecutor(MAX_RUNS, thread_name_prefix="run")
        self._runs: dict[str, Run] = {}
        self._futures: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="leases", daemon=True)
        self._renewing.start()

    def claim(self, run_id: str, seconds: float = 0.0) -> None:
        """Take a run, waiting so long for its lease. Raises Conflict if it is running elsewhere."""
        end = time.monotonic() + seconds
        while not self.leases.claim(run_id):
            if time.monotonic() >= end:
                raise Conflict(f"Run {run_id!r} is running in another process.")
            time.sleep(0.1)

    def submit(self, record: RunRecord, run: Run, graph_input: Any = None) -> None:
        """Run the graph in a thread; without an input it continues from its last checkpoint."""
        with self._lock:
            self.claim(record.id)  # again: a thread that has just ended may have released it
            self._runs[record.id] = run
            self._futures[record.id] = self._threads.submit(self._drive, record, run, graph_input)

    def running(self, run_id: str) -> Run | None:
        """The context of a run that is running in this process."""
        with self._lock:
            return self._runs.get(run_id)

    def wait(self, run_id: str, timeout: float | None = None) -> None:
        """Return once a run of this process has ended or waits for the user."""
        with self._lock:
            future = self._futures.get(run_id)
        if future:
            future.result(timeout)

    def emit(self, run_id: str, kind: str, /, step: str = "", **data: Any) -> None:
        """Record an event. Raises Conflict, which ends the run here, if it was taken over."""
        if not self.leases.held(run_id):
            raise Conflict(f"Run {run_id!r} is running in another process.")
        event = self._store.add_event(run_id, kind, step, **data)
        for listener in self.listeners:
            listener(event)

    def config(self, run_id: str) -> Any:
        """LangGraph's configuration for a run."""
        limits = {"max_concurrency": self._max_parallel, "recursion_limit": 100}
        return {"configurable": {"thread_id": run_id}, **limits}

    def state(self, run_id: str) -> StateSnapshot:
        """The last checkpoint of a run, without values if there is none."""
        return self._graph.get_state(self.config(run_id))

    def set_state(self, run_id: str, values: Mapping[str, Any]) -> None:
        """Change the state of a run, which then continues from its first node."""
        self._graph.update_state(self.config(run_id), dict(values), as_node=START)

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
        while not self._closing.wait(self.leases.seconds / 5):
            with self._lock:
                runs = dict(self._runs)
            try:
                for lost in self.leases.renew(runs.keys()):
                    runs[lost].stop.set()
                self.on_renewal()
            except SeedbedError as error:
                log.warning("Leases were not renewed: %s", error)

    def _drive(self, record: RunRecord, run: Run, graph_input: Any) -> None:
        """Run the graph to its end, or to a question, and record which."""
        try:
            with suppress(Conflict):  # another process has taken the run over
                changes = self._invoke(record, run, graph_input)
                if changes["status"] != "waiting":
                    confident = "answer" in changes and changes["answer"].confident
                    run.emit(changes["status"], reason=changes["reason"], confident=confident)
                if self.leases.held(record.id):
                    self._store.update(record.id, usage=run.budget.usage, **changes)
        finally:
            with self._lock:
                if self._runs.get(record.id) is run:  # not yet answered and continued
                    del self._runs[record.id]
                    self.leases.release(record.id)

    def _invoke(self, record: RunRecord, run: Run, graph_input: Any) -> dict[str, Any]:
        """Run the graph; returns the changes of the record."""
        config = self.config(record.id)
        try:
            state: Any = self._graph.invoke(graph_input, config, context=run, durability="sync")
        except (OverBudget, Stopped) as error:  # before there was a plan
            return {"status": "stopped", "reason": str(error)}
        except Exception as error:
            return {"status": "failed", "reason": public_message(error, log)}
        if questions := state.get("__interrupt__"):
            self._ask(record.id, **questions[0].value)
            return {"status": "waiting", "reason": questions[0].value["question"]}
        self._remember(record, state)
        status, reason = outcome(state, run.stop_reason())
        full_task = state["task"] if state["task"] != record.task else ""
        end = {"status": status, "reason": reason, "full_task": full_task}
        return {**end, "answer": state["answer"]}

    def _ask(self, run_id: str, step: str, **question: Any) -> None:
        """Record a question, unless a process that died has done it."""
        events = self._store.events(run_id, kind="question")
        if question["key"] not in [event.data["key"] for event in events]:
            self.emit(run_id, "question", step, **question)

    def _remember(self, record: RunRecord, state: RunState) -> None:
        """Keep a plan that led to an answer as an example.

        A plan made after a failure, or its fork, may repeat texts of documents and tools.
        """
        answer, first_plan = state["answer"], not state["replans"] and not record.parent
        if first_plan and answer.confident and not answer.missing:
            self._memory.add_example(record.owner, record.id, state["task"], state["plan"])


def outcome(state: RunState, stop_reason: str) -> tuple[str, str]:
    """The status of a run whose graph has ended, and its reason.

    >>> from multi_agent.state import Answer
    >>> failed = Result(step="s1", problem="OpenAI: rate limit.", failure="model")
    >>> answer = Answer(text="I can't answer that.", confident=False)
    >>> outcome({"answer": answer, "results": {"s1": failed}}, stop_reason="")
    ('failed', 'OpenAI: rate limit.')
    """
    if state["answer"].confident:
        return "done", ""
    if stop_reason:
        return "stopped", stop_reason
    failed = failed_by_model(state["results"])
    return ("failed", state["results"][failed[0]].problem) if failed else ("done", "")


def failed_by_model(results: Mapping[str, Result]) -> list[str]:
    """The steps whose model failed, not they themselves: they may succeed later."""
    return [id for id, result in results.items() if result.failure == "model"]
