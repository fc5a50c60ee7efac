"""What people do: answer cases, settle doubts, replay, switch. Called by API, page and CLI.

    actions = Actions(config, store, queue, outbox)
    actions.answer("c0123456789abcde", "approve", Caller("anna"), body="Dear Bob, …")

Permission is checked here. A decision is stored first and queued then; if the process dies in
between, the workers' upkeep queues the case.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from agentic_workflow.case import CATEGORIES, CaseRecord, Draft, Effect, Event, Value, Verdict
from agentic_workflow.config import Config
from agentic_workflow.effects.outbox import Outbox
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.store.store import Store
from seedbed.errors import BadInput, Conflict, Forbidden, Unavailable
from seedbed.server.callers import Caller

Json = dict[str, Any]
THREAD = 10  # cases of a thread that are shown with a case
REOPENED = timedelta(days=2)  # until a reopened case is due
_log = logging.getLogger(__name__)


class CaseDetails(Value):
    case: CaseRecord
    timeline: list[Event]  # the oldest first
    effects: list[Effect]
    thread: list[CaseRecord]  # other cases of the same sender and thread, the latest last


class Actions:
    """Actions on cases; `by` is the person who acts."""

    def __init__(self, config: Config, store: Store, queue: CaseQueue, outbox: Outbox) -> None:
        self.config, self.store, self.queue, self.outbox = config, store, queue, outbox
        self._approvers, self.gateways = config.names("approvers"), config.names("gateways")

    def may_approve(self, by: Caller) -> bool:
        """Whether this person may decide, settle, replay and switch."""
        return not self._approvers or by.is_in(self._approvers)

    def answer(
        self,
        case_id: str,
        decision: Verdict,
        by: Caller,
        subject: str | None = None,
        body: str | None = None,
        comment: str = "",
    ) -> CaseRecord:
        """Answer a case that waits. "approve" may change the reply, and "ask" sends `comment`.

        Raises Forbidden, NotFound, BadInput, or Conflict, which names who decided first.
        """
        # 1. Check what does not need the database.
        self._check(by)
        if decision == "ask" and not comment.strip():
            raise BadInput("The question to the sender is empty.", hint="Write it as the comment.")
        # 2. Store the decision, with the reply as the person changed it.
        record, draft = self.store.case(case_id), None
        if decision == "approve" and (subject is not None or body is not None):
            old = record.draft or Draft(subject=f"Re: {record.mail.subject}", body="")
            new = {"subject": subject or old.subject, "body": old.body if body is None else body}
            draft = old.model_copy(update=new)  # as the person wrote it, unmasked
        record = self.store.decide_approval(case_id, decision, by.name, draft, comment)
        # 3. Let a worker go on.
        return self._enqueue(record)

    def change(
        self,
        case_id: str,
        by: Caller,
        category: str | None = None,
        order_id: str | None = None,
        amount: Decimal | None = None,
    ) -> CaseRecord:
        """Change what a case that waits asks for, and let it be decided again; it waits then.

        None leaves a value as it is; an empty order and an amount of 0 mean that none is named.
        Raises Forbidden, NotFound, BadInput or Conflict.
        """
        self._check(by)
        if category not in (None, *CATEGORIES):
            hint = f"Available: {', '.join(CATEGORIES)}."
            raise BadInput(f"Unknown category {category!r}.", hint=hint)
        old = self.store.case(case_id).triage
        if old is None:
            raise Conflict(f"Case {case_id} is not classified yet.")
        new: Json = {"category": category or old.category}
        new["order_id"] = old.order_id if order_id is None else order_id.strip() or None
        new["amount"] = old.amount if amount is None else amount or None
        before = {name: getattr(old, name) for name in new}
        changes = [f"{n} {before[n]} → {value}" for n, value in new.items() if before[n] != value]
        if not changes:
            raise BadInput("Nothing was changed.", hint="Change the category, order or amount.")
        currency = old.currency if new["amount"] == old.amount else None
        sure = {"confidence": 1.0, "others": (), "changed_by": by.name, "currency": currency}
        no_cost = {"tokens": 0, "cost_usd": 0.0}  # the first reading's cost is recorded already
        triage = old.model_copy(update={**new, **sure, **no_cost})
        record = self.store.change_triage(case_id, triage, ", ".join(changes))
        return self._enqueue(record)

    def _enqueue(self, record: CaseRecord) -> CaseRecord:
        try:
            self.queue.submit(record)
        except Unavailable as error:
            _log.warning("case %s is queued later: %s", record.id, error)
        return record

    def resolve(self, key: str, happened: bool, by: Caller) -> str:
        """Settle an effect in doubt: it did happen, or it is tried again. Returns its case."""
        self._check(by)
        case_id = self.outbox.resolve(key, happened, by.name)
        answer = "happened" if happened else "did not happen"
        self.store.record(case_id, "resolve", actor=by.name, reason=f"{key} {answer}")
        self.queue.repeat(self.store.case(case_id), self.store, decided=True)
        return case_id

    def replay(self, case_id: str, by: Caller) -> str:
        """Go on with a failed case, or begin it again if it had come to no effect; its id."""
        self._check(by)
        case = self.store.case(case_id)
        if case.status != "failed":
            raise Conflict(f"Case {case_id} is {case.status}; only failed cases can be replayed.")
        for row in self.outbox.list("failed", case_id):
            self.outbox.replay(row.key, by.name)
        self.store.record(case_id, "replay", actor=by.name)
        by_person = case.approval and case.approval.decision
        decided = by_person or self.outbox.list(case_id=case_id)
        self.queue.repeat(case, self.store, decided=bool(decided))
        return case_id

    def reopen(self, case_id: str, by: Caller) -> CaseRecord:
        """Let a closed case wait for a person again. Raises Forbidden, NotFound or Conflict."""
        self._check(by)
        return self.store.reopen(case_id, by.name, datetime.now(UTC) + REOPENED)

    def stop(self, on: bool, by: Caller) -> None:
        """Stop the desk, or release it: while it is stopped, nothing is sent or refunded."""
        self._check(by)
        self.store.stop(on, by.name)
        _log.warning("The desk is %s, by %s.", "stopped" if on else "released", by.name)

    def details(self, case_id: str) -> CaseDetails:
        """A case with its timeline and effects. Raises NotFound."""
        return CaseDetails(
            case=self.store.case(case_id),
            timeline=self.store.events(case_id),
            effects=self.outbox.list(case_id=case_id),
            thread=[case for case in self.store.thread(case_id) if case.id != case_id][-THREAD:],
        )

    def _check(self, by: Caller) -> None:
        if not self.may_approve(by):
            raise Forbidden(f"{by.name!r} may not approve cases.", hint="See WORKFLOW_APPROVERS.")
