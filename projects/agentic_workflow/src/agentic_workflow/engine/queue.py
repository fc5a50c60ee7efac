"""The queue of cases, in the workflow database that all processes share.

    queue = CaseQueue(config)
    queue.submit(record)    # for `HelpDesk.handle_mail`, once per attempt

Cases of one customer run one after another in the order of arrival; those of different customers
run at the same time. A workflow's id is `CASE-ATTEMPT`, so that queueing it twice changes nothing,
and a case leads to its latest workflow. Running the workflows is up to `worker.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSClient, EnqueueOptions, WorkflowStatus
from sqlalchemy.exc import DBAPIError

from agentic_workflow.case import CaseSummary, Status
from agentic_workflow.config import Config
from agentic_workflow.store.store import Store
from agentic_workflow.workflow import VERSION
from seedbed.database.sqlite import open_sqlite
from seedbed.errors import Unavailable

APP, QUEUE = "agentic-workflow", "mails"
POLL_SECONDS = 0.1
CASES_AT_ONCE = 10  # per worker; with the polling, 100 cases a second
APPROVED, NEW = 1, 2
"""Priorities, lowest first: cases that go on, new mails; by arrival within each."""
UNFINISHED = ["PENDING", "ENQUEUED", "DELAYED"]
BROKEN = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


def workflow_database(config: Config) -> str:
    """The URL of the workflow database, which is created if it does not exist."""
    if config.database_url:
        return str(config.database_url)
    path = Path(config.data_dir).absolute() / "workflows.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    open_sqlite(path).close()  # switches the file to write-ahead logging
    return f"sqlite:///{path}"


class CaseQueue:
    """Queues cases for the workers of a version. Raises Unavailable if the database is away."""

    def __init__(self, config: Config, version: str = VERSION) -> None:
        url = workflow_database(config)
        self.version = version
        logging.getLogger("dbos").setLevel(logging.WARNING)  # it reports each of 125 migrations
        with _database_errors():
            DBOS.migrate(url)
            self._client = DBOSClient(
                system_database_url=url, application_name=APP, retry_connection_errors=False
            )

    def close(self) -> None:
        self._client.destroy()

    def submit(self, case: CaseSummary, delay: float = 0.0) -> None:
        """Let a worker handle a case, or go on with one that is decided, in `delay` seconds."""
        # DBOS orders by priority and then by time, which on SQLite has a precision of one second.
        priority = APPROVED if case.attempt else NEW + case.number
        options: EnqueueOptions = {
            "workflow_name": "HelpDesk.handle_mail",
            "class_name": "HelpDesk",
            "instance_name": "desk",
            "queue_name": QUEUE,
            "queue_partition_key": case.sender or case.id,
            "workflow_id": workflow_id(case),
            "app_version": self.version,
            "priority": priority,
        }
        if delay:
            options["delay_seconds"] = delay
        with _database_errors():
            self._client.enqueue(options, case.id, case.attempt, case.status == "approved")

    def repeat(self, case: CaseSummary, store: Store, *, decided: bool) -> None:
        """Queue another attempt at a case: its effects if it is decided, or else all of it."""
        status: Status = "approved" if decided else "received"
        store.update(case.id, status=status, attempt=case.attempt + 1)
        self.submit(case.model_copy(update={"status": status, "attempt": case.attempt + 1}))

    def states(self, workflow_ids: list[str]) -> dict[str, tuple[str, Any]]:
        """Status and result of those workflows that exist."""
        flows = self._list(workflow_ids=workflow_ids)
        return {f.workflow_id: (f.status, f.error or f.output) for f in flows}

    def pending(self) -> dict[str, str]:
        """What this version is working on: the worker by the id of the workflow."""
        flows = self._list(app_version=self.version, status="PENDING", queue_name=QUEUE)
        return {flow.workflow_id: str(flow.executor_id) for flow in flows}

    def unfinished(self) -> list[WorkflowStatus]:
        """Workflows of all versions that have not ended."""
        return self._list(status=UNFINISHED, queue_name=QUEUE, limit=500)

    def cancel(self, workflow_id: str) -> None:
        """End a workflow at its next step."""
        with _database_errors():
            self._client.cancel_workflow(workflow_id)

    def forget(self, before: datetime) -> None:
        """Delete what is recorded of workflows that ended before a time, the oldest 5,000."""
        ended = self._list(completed_before=before.isoformat(), limit=5000)
        with _database_errors():
            self._client.delete_workflows([flow.workflow_id for flow in ended])

    def _list(self, **filters: Any) -> list[WorkflowStatus]:
        with _database_errors():
            return self._client.list_workflows(load_input=False, **filters)


def workflow_id(case: CaseSummary) -> str:
    """The id of the latest workflow of a case."""
    return f"{case.id}-{case.attempt}"


def register_queue() -> None:
    """Set the queue's concurrency and polling interval; called by a worker."""
    DBOS.register_queue(
        QUEUE,
        partition_concurrency=1,
        worker_concurrency=CASES_AT_ONCE,
        polling_interval_sec=POLL_SECONDS,
    )


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise Unavailable(f"The workflow database is unavailable: {reason}.") from None
