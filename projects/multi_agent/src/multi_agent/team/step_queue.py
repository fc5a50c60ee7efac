"""Specialists in worker processes, which take their steps from a durable queue on Postgres.

    AGENTS_WORKERS_QUEUE=1 multi-agent serve     # steps are queued: `open_queue(config)`
    multi-agent worker --id worker-1             # on any machine: `run_worker(config, …)`

The queue is DBOS's. The id of a step is made from what the step gets, so that a graph that goes on
after a crash finds the step it had queued. A worker renews a lease on each step it does; when a
lease has ended, another worker takes the step over, and the ledger has the results of the tool
calls that finished. Questions go back to the graph, in the place of a result.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.exc import DBAPIError

from multi_agent.graph import Run, StepState, perform
from multi_agent.runs.lease import LEASE_SECONDS, Leases
from multi_agent.runs.store import RunStore, as_json
from multi_agent.state import Result, Step
from multi_agent.tools.toolbox import NeedsUser
from seedbed.errors import ConfigError, Conflict, MissingExtra, SeedbedError, Unavailable
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    from dbos import DBOSClient, WorkflowStatus

    from multi_agent.config import Config

APP, QUEUE, WORKFLOW, VERSION = "multi-agent", "steps", "perform_step", "1"
POLL = 0.1  # seconds
STEPS_AT_ONCE, MAX_STARTS = 8, 3  # of a worker; of a step, which may be what kills workers
OpenRun = Callable[[str, Callable[[], None]], Run]  # `Team.open_run`

log = logging.getLogger(__name__)


@contextmanager
def open_queue(config: Config) -> Iterator[StepQueue]:
    """The queue. Raises ConfigError without Postgres, and Unavailable."""
    if not config.database_url or config.database_url.startswith("sqlite"):
        hint = "Set SEEDBED_DATABASE_URL=postgresql://USER@HOST/NAME, or AGENTS_WORKERS_QUEUE=0."
        raise ConfigError("The queue for workers needs Postgres.", hint=hint)
    try:
        from dbos import DBOS, DBOSClient
    except ModuleNotFoundError:
        raise MissingExtra("dbos", "multi-agent[queue]") from None
    logging.getLogger("dbos").setLevel(logging.WARNING)  # it reports each of 125 migrations
    with _database_errors():
        DBOS.migrate(config.database_url)
        client = DBOSClient(system_database_url=config.database_url, application_name=APP)
    try:
        yield StepQueue(client)
    finally:
        client.destroy()


class StepQueue:
    """Queues steps, and waits for their results."""

    def __init__(self, client: DBOSClient) -> None:
        self._client = client

    def perform(self, run: Run, step: Step, state: StepState) -> Result:
        """Like `graph.perform`, by a worker; ends early when the run is stopped."""
        # 1. Queue the step, unless a process that died has done it.
        order = {"run": run.id, "state": {**state, "step": step}, "answers": dict(run.answers)}
        text = json.dumps(as_json(order), sort_keys=True)
        id = f"{run.id}/{step.id}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        options: Any = {"workflow_name": WORKFLOW, "queue_name": QUEUE, "app_version": VERSION}
        with _database_errors():
            self._client.enqueue(options | {"workflow_id": id}, order | {"usage": run.budget.usage})
        # 2. Wait. What a worker spends counts for the run.
        while (flow := self._list(workflow_ids=[id])[0]).status in ("ENQUEUED", "PENDING"):
            if problem := run.stop_reason():
                with _database_errors():
                    self._client.cancel_workflow(id)
                return Result(step=step.id, problem=problem)
            run.stop.wait(POLL)
        if flow.status != "SUCCESS":
            raise Unavailable(f"No worker could do step {step.id}: {flow.error or flow.status}.")
        reply: Any = flow.output
        run.budget.spend(**reply["spent"])
        if "need" in reply:
            raise NeedsUser(*reply["need"])
        return cast(Result, reply["result"])

    def cancelled(self, ids: list[str]) -> set[str]:
        """Those of some steps that the graph no longer waits for."""
        return {flow.workflow_id for flow in self._list(workflow_ids=ids, status="CANCELLED")}

    def take_over(self, leases: Leases, active: Collection[str]) -> None:
        """Queue the steps of dead workers again; `active` has the steps of this worker."""
        before = 1000 * (time.time() - leases.seconds)  # later ones may just be beginning
        for flow in self._list(status="PENDING", queue_name=QUEUE):
            id, old = flow.workflow_id, (flow.dequeued_at or before) < before
            if old and id not in active and leases.claim(id):
                log.warning("Worker %s is dead; %s goes on.", flow.executor_id, id)
                with _database_errors():
                    self._client.resume_workflow(id, queue_name=QUEUE)
                leases.release(id)

    def _list(self, **filters: Any) -> list[WorkflowStatus]:
        with _database_errors():
            return self._client.list_workflows(load_input=False, **filters)


class Worker:
    """Does the steps of the queue, with a lease on each."""

    def __init__(
        self, id: str, queue: StepQueue, store: RunStore, open_run: OpenRun, leases: Leases
    ) -> None:
        self.id, self._queue, self._store = id, queue, store
        self._open_run, self._leases = open_run, leases
        self._active: dict[str, Run] = {}

    def perform(self, id: str, order: dict[str, Any]) -> dict[str, Any]:
        """The reply for a step of the queue."""
        while True:
            # Wait for the lease, if a worker that may be dead has it.
            while id in self._active or not self._leases.claim(id):
                time.sleep(POLL)
            run = self._open_run(order["run"], partial(self._require_lease, id))
            run.budget.restore(order["usage"])
            self._active[id] = run
            try:
                reply = self._perform(id, run, order)
                if run.stop.is_set() or self._leases.held(id):
                    return reply
            finally:
                del self._active[id]
                self._leases.release(id)

    def _perform(self, id: str, run: Run, order: dict[str, Any]) -> dict[str, Any]:
        """The result or the question, and what was spent."""
        state, step, before = order["state"], order["state"]["step"], run.budget.usage
        starts = self._store.events(run.id, kind="worker")
        try:
            if sum(event.data["id"] == id for event in starts) >= MAX_STARTS:
                raise Conflict(f"The step was started {MAX_STARTS} times, and its worker died.")
            run.emit("worker", step.id, worker=self.id, id=id)
            reply: dict[str, Any] = {"result": perform(run, step, state)}
        except NeedsUser as need:
            reply = {"need": (need.key, need.question, need.options)}
        except Conflict as error:
            reply = {"result": Result(step=step.id, problem=str(error))}
        usage = {k: v for k, v in run.budget.usage.items() if k != "seconds"}  # of the graph
        return reply | {"spent": {key: value - before[key] for key, value in usage.items()}}

    def watch(self, stop: threading.Event) -> None:
        """Until `stop`: renew the leases, end steps of stopped runs, take over from the dead."""
        while not stop.wait(self._leases.seconds / 5):
            active = dict(self._active)
            try:
                self._leases.renew(active)
                for id in self._queue.cancelled(list(active)) if active else ():
                    active[id].stop.set()
                    log.info("%s is not wanted any longer.", id)
                self._queue.take_over(self._leases, self._active)
            except SeedbedError as error:
                log.warning("%s", error)

    def _require_lease(self, id: str) -> None:
        """Called before each event of a step, and so before each call of a tool."""
        if self._active[id].stop.is_set() or not self._leases.held(id):
            raise Conflict("The step was stopped, or taken over by another worker.")


def run_worker(
    config: Config, id: str, store: RunStore, open_run: OpenRun, seconds: float = LEASE_SECONDS
) -> None:
    """Do steps until SIGTERM, and then end those in progress; a lease is for `seconds`.

    Raises ConfigError without Postgres and for an id that is not unique ("local").
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,60}", id) or id == "local":
        raise ConfigError(f"{id!r} is not a worker id.", hint="Choose --id worker-1.")
    stop, end = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with open_queue(config) as queue:
        from dbos import DBOS

        worker = Worker(id, queue, store, open_run, Leases(store.engine, seconds))
        settings: Any = {"name": APP, "system_database_url": config.database_url}
        settings |= {"application_version": VERSION, "executor_id": id, "log_level": "WARNING"}
        DBOS(config=settings)

        @DBOS.workflow(name=WORKFLOW)
        def perform_step(order: dict[str, Any]) -> dict[str, Any]:
            return worker.perform(str(DBOS.workflow_id), order)

        DBOS.launch()
        DBOS.register_queue(QUEUE, worker_concurrency=STEPS_AT_ONCE, polling_interval_sec=POLL)
        watching = threading.Thread(target=worker.watch, args=(end,), name="leases")
        watching.start()
        stop.wait()
        DBOS.destroy(workflow_completion_timeout_sec=30)
        end.set()
        watching.join()


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise Unavailable(f"The queue of steps is unavailable: {reason(error)}.") from None
