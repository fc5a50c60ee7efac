"""Periodic maintenance: deadlines, stalled cases, cases of another version, old records.

    Upkeep(desk, queue).run(now)     # by one of the workers, every ten seconds

A case stalls when a process dies between two databases: it is stored or decided but not queued, or
its workflow ended and the store does not show it. The workflow database shows which of these it
was.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from agentic_workflow.case import STATUSES
from agentic_workflow.engine.queue import BROKEN, CaseQueue, begin_again, go_on
from agentic_workflow.store.records import CaseSummary
from agentic_workflow.workflow import HelpDesk
from seedbed.errors import Conflict, NotFound

SETTLE = timedelta(seconds=20)
"""Cases that changed later are left alone: a process may be about to queue them."""
KEEP = timedelta(days=1)
"""How long the records of ended workflows are kept."""


class Upkeep:
    """Looks after the cases that no workflow runs for."""

    def __init__(self, desk: HelpDesk, queue: CaseQueue) -> None:
        self._desk, self._store, self._queue = desk, desk.store, queue

    def run(self, now: datetime) -> None:
        """Do what is due. Repeating it is harmless."""
        # 1. Apply the default where no person decided in time.
        if self._desk.policy.current().approval.default == "reject":
            for case in self._store.waiting(now):
                self._reject(case)
        # 2. Queue cases that were never queued, and repair stalled ones.
        working = self._store.cases(status="working", limit=500)
        idle = [case for case in working if case.changed_at < now - SETTLE]
        self._repair([*self._store.unqueued(now - SETTLE), *idle])
        # 3. Go on with cases whose doubt is settled.
        for case in self._store.cases(status="in_doubt", limit=500):
            if not self._desk.outbox.list("in_doubt", case.id):
                go_on(case.id, self._store, self._queue)
        # 4. Begin again what another version left unfinished; effects are behind the outbox.
        for flow in self._queue.unfinished():
            if flow.app_version != self._queue.version:
                decided = flow.name.endswith("finish_case")
                repeat = go_on if decided else begin_again
                with suppress(Conflict, NotFound):  # it is closed already
                    repeat(flow.workflow_id.partition("-")[0], self._store, self._queue)
                self._queue.cancel(flow.workflow_id)
        # 5. Once an hour, forget what ended the day before.
        if now.minute == 0:
            self._queue.forget(now - KEEP)

    def _reject(self, case: CaseSummary) -> None:
        try:
            record = self._store.decide_approval(case.id, "reject", "deadline")
        except Conflict:  # a person was faster
            return
        self._queue.finish(case.id, record.attempt, case.sender)

    def _repair(self, cases: list[CaseSummary]) -> None:
        stopped = self._store.switch("stopped")
        states = self._queue.states([id for c in cases for id in (c.id, f"{c.id}-{c.attempt}")])
        for case in cases:
            decided = case.status == "approved"
            # The latest workflow of the case; one that asked a person is not the latest.
            state = states.get(f"{case.id}-{case.attempt}")
            state = state or (None if decided else states.get(case.id))
            again = case.status == "received" and case.attempt > 0
            if again and f"{case.id}-{case.attempt}" not in states:
                self._queue.handle_again(case.id, case.attempt, case.sender)
            elif state is None and not decided:
                self._queue.submit(case.id, case.sender, case.number)
            elif state is None:
                if not stopped:
                    self._queue.finish(case.id, case.attempt, case.sender)
            elif state[0] in BROKEN:
                reason = f"The workflow ended with {state[0]}: {state[1] or 'it was killed'}."
                event = {"kind": "failed", "reason": reason}
                self._store.update(case.id, status="failed", outcome=reason, event=event)
            elif state[1] in STATUSES:  # the store missed how it ended
                self._store.update(case.id, status=state[1])
