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
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from multi_agent.graph import Run, StepState, perform
from multi_agent.runs.lease import LEASE_SECONDS, Leases
from multi_agent.state import Result, Step
from multi_agent.tools.toolbox import NeedsUser
from seedbed.errors import ConfigError, Conflict, SeedbedError, Unavailable

if TYPE_CHECKING:
    from dbos import DBOSClient, WorkflowStatus

    from multi_agent.config import Config
    from multi_agent.runs.store import RunStore

APP, QUEUE, WORKFLOW, VERSION = "multi-agent", "steps", "perform_step", "1"
POLL_SECONDS = 0.1
STEPS_AT_ONCE = 8
"""Steps of a worker at the same time; more wait for it or for another one."""
DRAIN_SECONDS = 30
"""How long a worker that is told to stop waits for its steps."""
MAX_STARTS = 3
"""Starts of a step; it may be what kills its workers."""

OpenRun = Callable[[str, Callable[[], None]], Run]
"""Opens a run by its id; the function is called before each event, and may raise."""

log = logging.getLogger(__name__)


@contextmanager
def open_queue(config: Config) -> Iterator[StepQueue]:
    """The queue. Raises ConfigError without Postgres, and Unavailable."""
    from dbos import DBOS, DBOSClient

    url = _postgres_url(config)
    logging.getLogger("dbos").setLevel(logging.WARNING)  # it reports each of 125 migrations
    with _database_errors():
        DBOS.migrate(url)
        client = DBOSClient(system_database_url=url, application_name=APP)
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
        inputs = {id: result.model_dump(mode="json") for id, result in state["inputs"].items()}
        order = {"run": run.id, "step": step.model_dump(mode="json"), "inputs": inputs}
        order |= {"problem": state["problem"], "answers": dict(run.answers)}
        digest = hashlib.sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()[:16]
        id = f"{run.id}/{step.id}/{digest}"
        options: Any = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": id,
            "app_version": VERSION,
        }
        with _database_errors():
            self._client.enqueue(options, order | {"usage": run.budget.usage})
        # 2. Wait. What a worker spends counts for the run.
        while (flow := self._status(id)).status in ("ENQUEUED", "PENDING", "DELAYED"):
            if reason := run.ended():
                with _database_errors():
                    self._client.cancel_workflow(id)
                return Result(step=step.id, problem=reason)
            run.stop.wait(POLL_SECONDS)
        if flow.status != "SUCCESS":
            raise Unavailable(f"No worker could do step {step.id}: {flow.error or flow.status}.")
        reply: dict[str, Any] = flow.output  # type: ignore[assignment]
        run.budget.spend(**reply["spent"])
        if need := reply.get("need"):
            raise NeedsUser(need["key"], need["question"], tuple(need["options"]))
        return Result.model_validate(reply["result"])

    def _status(self, id: str) -> WorkflowStatus:
        with _database_errors():
            return self._client.list_workflows(workflow_ids=[id], load_input=False)[0]

    def cancelled(self, ids: list[str]) -> set[str]:
        """Those of some steps that the graph no longer waits for."""
        with _database_errors():
            flows = self._client.list_workflows(
                workflow_ids=ids, status="CANCELLED", load_input=False, load_output=False
            )
        return {flow.workflow_id for flow in flows}

    def take_over(self, leases: Leases, active: Collection[str]) -> None:
        """Queue the steps of dead workers again: those in progress without a lease.

        `active` has the steps of this worker.
        """
        with _database_errors():
            flows = self._client.list_workflows(
                status="PENDING", queue_name=QUEUE, load_input=False, load_output=False
            )
            before = 1000 * (time.time() - leases.seconds)  # later ones may just be beginning
            for flow in flows:
                old = flow.workflow_id not in active and (flow.dequeued_at or before) < before
                if old and leases.claim(flow.workflow_id):
                    log.warning(
                        "Worker %s is dead; %s goes on.", flow.executor_id, flow.workflow_id
                    )
                    self._client.resume_workflow(flow.workflow_id, queue_name=QUEUE)
                    leases.release(flow.workflow_id)


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
                time.sleep(POLL_SECONDS)
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
        step, before = Step.model_validate(order["step"]), run.budget.usage
        inputs = {key: Result.model_validate(value) for key, value in order["inputs"].items()}
        starts = self._store.events(run.id, kind="worker")
        if sum(event.data["id"] == id for event in starts) >= MAX_STARTS:
            result = Result(step=step.id, problem=f"Its worker died {MAX_STARTS} times.")
            return {"result": result.model_dump(mode="json"), "spent": {}}
        reply: dict[str, Any]
        try:
            run.emit("worker", step.id, worker=self.id, id=id)
            state = StepState(step=step, inputs=inputs, problem=order["problem"])
            reply = {"result": perform(run, step, state).model_dump(mode="json")}
        except NeedsUser as need:
            question = {"key": need.key, "question": need.question, "options": need.options}
            reply = {"need": question}
        except Conflict as error:  # stopped or taken over: the reply is not used
            reply = {"result": Result(step=step.id, problem=str(error)).model_dump(mode="json")}
        spent = {key: value - before[key] for key, value in run.budget.usage.items()}
        del spent["seconds"]  # the graph's clock has them
        return reply | {"spent": spent}

    def watch(self, stop: threading.Event) -> None:
        """Until `stop`: renew the leases, end steps of stopped runs, take over from the dead."""
        while not stop.wait(self._leases.seconds / 5):
            active = dict(self._active)
            try:
                for id in self._leases.renew(active) | self._queue.cancelled(list(active)):
                    active[id].stop.set()
                self._queue.take_over(self._leases, self._active.keys())
            except SeedbedError as error:
                log.warning("%s", error)

    def _require_lease(self, id: str) -> None:
        """Called before each event of a step, and so before each call of a tool."""
        if self._active[id].stop.is_set() or not self._leases.held(id):
            raise Conflict("The step was stopped, or taken over by another worker.")


def run_worker(
    config: Config, id: str, store: RunStore, open_run: OpenRun, seconds: float = LEASE_SECONDS
) -> None:
    """Do steps until SIGTERM, and then end those in progress. `seconds` is the length of a lease.

    Raises ConfigError for an id that is not unique ("local") and without Postgres.
    """
    from dbos import DBOS

    if not re.fullmatch(r"[A-Za-z0-9._-]{1,60}", id) or id == "local":
        raise ConfigError(f"{id!r} is not a worker id.", hint="Choose --id worker-1.")
    stop, end = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with open_queue(config) as queue:
        worker = Worker(id, queue, store, open_run, Leases(store.engine, seconds))
        _launch(config, worker)
        watching = threading.Thread(target=worker.watch, args=(end,), name="leases")
        watching.start()
        stop.wait()
        DBOS.destroy(workflow_completion_timeout_sec=DRAIN_SECONDS)
        end.set()
        watching.join()


def _launch(config: Config, worker: Worker) -> None:
    from dbos import DBOS

    url = _postgres_url(config)
    settings: Any = {"name": APP, "system_database_url": url, "log_level": "WARNING"}
    DBOS(config=settings | {"application_version": VERSION, "executor_id": worker.id})

    @DBOS.workflow(name=WORKFLOW)
    def perform_step(order: dict[str, Any]) -> dict[str, Any]:
        return worker.perform(str(DBOS.workflow_id), order)

    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=STEPS_AT_ONCE, polling_interval_sec=POLL_SECONDS)


def _postgres_url(config: Config) -> str:
    if not config.database_url or config.database_url.startswith("sqlite"):
        raise ConfigError(
            "The queue for workers needs Postgres.",
            hint="Set SEEDBED_DATABASE_URL=postgresql://USER@HOST/NAME, or AGENTS_WORKERS_QUEUE=0.",
        )
    return config.database_url


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise Unavailable(f"The queue of steps is unavailable: {reason}.") from None
