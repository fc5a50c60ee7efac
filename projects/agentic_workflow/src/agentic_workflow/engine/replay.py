"""Lets cases go on that a person has to put right: dead letters, and effects in doubt.

replay(case_id, "anna", store, outbox, queue)               # try a failed case again
resolve(key, False, "anna", store, outbox, queue)           # it did not happen: do it now
"""

from __future__ import annotations

from agentic_workflow.effects.outbox import Outbox
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.store.store import Store
from seedbed.errors import Conflict


def replay(case_id: str, by: str, store: Store, outbox: Outbox, queue: CaseQueue) -> None:
    """Try a failed case again, from its effects on if it is decided, or else from the beginning.

    Raises NotFound, or Conflict if the case has not failed.
    """
    case, approval = store.case(case_id), store.approval(case_id)
    if case.status != "failed":
        raise Conflict(f"Case {case_id} is {case.status}; only failed cases can be replayed.")
    for row in outbox.list("failed", case_id):
        outbox.replay(row.key, by)
    decided = case.decision and (approval.decision if approval else not case.decision.approval)
    store.record(case_id, "replay", actor=by)
    if decided:
        go_on(case_id, store, queue)
    else:
        store.update(case_id, status="received", attempt=case.attempt + 1)
        queue.handle_again(case_id, case.attempt + 1, case.mail.sender)


def replay_effect(key: str, by: str, store: Store, outbox: Outbox, queue: CaseQueue) -> str:
    """Try an effect that failed for good once more; returns its case."""
    case_id = outbox.replay(key, by)
    store.record(case_id, "replay", actor=by, reason=key)
    go_on(case_id, store, queue)
    return case_id


def resolve(
    key: str, happened: bool, by: str, store: Store, outbox: Outbox, queue: CaseQueue
) -> str:
    """Settle an effect in doubt, and let its case, the result, go on. Raises NotFound, Conflict."""
    case_id = outbox.resolve(key, happened, by)
    answer = "happened" if happened else "did not happen"
    store.record(case_id, "resolve", actor=by, reason=f"{key} {answer}")
    go_on(case_id, store, queue)
    return case_id


def go_on(case_id: str, store: Store, queue: CaseQueue) -> None:
    """Queue a decided case for another attempt."""
    case = store.case(case_id)
    store.update(case_id, status="approved", attempt=case.attempt + 1)
    queue.finish(case_id, case.attempt + 1, case.mail.sender)
