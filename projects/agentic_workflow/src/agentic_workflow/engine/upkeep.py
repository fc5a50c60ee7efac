"""Periodic maintenance: deadlines, stalled cases, cases of another version, old records.

    Upkeep(desk, queue).run(now)     # by one of the workers, every ten seconds

A case stalls when a process dies between two databases: it is stored or decided but not queued, or
its workflow broke and the store does not show it. The workflow database shows which of these it
was.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from agentic_workflow.case import CaseSummary, Status
from agentic_workflow.engine.queue import BROKEN, CaseQueue, workflow_id
from agentic_workflow.workflow import HelpDesk
from seedbed.errors import Conflict, NotFound

SETTLE = timedelta(seconds=20)
"""Cases that changed more recently are left alone: a process may be about to queue them."""
KEEP = timedelta(days=1)
"""How long the records of ended workflows are kept."""


class Upkeep:
    """Takes care of the cases that no workflow is running for."""

    def __init__(self, desk: HelpDesk, queue: CaseQueue) -> None:
        self._desk, self._store, self._queue = desk, desk.store, queue

    def run(self, now: datetime) -> None:
        """Do what is due. Repeating it is harmless."""
        # 1. Apply the default where no person decided in time.
        if self._desk.parts.policy.current().approval.default == "reject":
            for case in self._store.waiting(now):
                self._reject(case)
        # 2. Queue cases that were never queued, and mark those whose workflow broke.
        stages: tuple[Status, ...] = ("received", "approved", "working")
        active = [case for stage in stages for case in self._store.cases(status=stage, limit=1000)]
        self._repair([case for case in active if case.changed_at < now - SETTLE])
        # 3. Go on with cases whose doubt is settled.
        for case in self._store.cases(status="in_doubt", limit=500):
            if not self._desk.outbox.list("in_doubt", case.id):
                self._queue.repeat(case, self._store, decided=True)
        # 4. Restart what another version left unfinished; the outbox prevents duplicate effects.
        for flow in self._queue.unfinished():
            if flow.app_version != self._queue.version:
                with suppress(Conflict, NotFound):  # it is closed already
                    case = self._store.case(flow.workflow_id.partition("-")[0])
                    by_person = case.approval and case.approval.decision
                    decided = case.status == "approved" or bool(by_person)
                    self._queue.repeat(case, self._store, decided=decided)
                self._queue.cancel(flow.workflow_id)
        # 5. In the first minute of each hour, forget workflows that ended more than a day ago.
        if now.minute == 0:
            self._queue.forget(now - KEEP)

    def _reject(self, case: CaseSummary) -> None:
        try:
            record = self._store.decide_approval(case.id, "reject", "deadline")
        except Conflict:  # a person was faster
            return
        self._queue.submit(record)

    def _repair(self, cases: list[CaseSummary]) -> None:
        stopped = self._store.stopped()
        states = self._queue.states([workflow_id(case) for case in cases])
        for case in cases:
            state = states.get(workflow_id(case))
            if state is None and not (stopped and case.status == "approved"):
                self._queue.submit(case)
            elif state and state[0] in BROKEN:
                reason = f"The workflow ended with {state[0]}: {state[1] or 'it was killed'}."
                event = {"kind": "failed", "reason": reason}
                self._store.update(case.id, status="failed", outcome=reason, event=event)
