"""What people do: answer cases, settle doubts, replay, switch. Called by API, page and CLI.

    actions = Actions(config, store, queue, outbox)
    actions.answer("c0123456789abcde", "approve", "anna", body="Dear Bob, …")

Permission is checked here. A decision is stored first and queued then; if the process dies in
between, the workers' upkeep queues the case.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from agentic_workflow.case import CATEGORIES, Draft, Value
from agentic_workflow.config import Config
from agentic_workflow.effects.outbox import Outbox
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.store.records import CaseRecord, CaseSummary, Effect, Event, Verdict
from agentic_workflow.store.store import Store
from seedbed.errors import BadInput, Conflict, Forbidden, Unavailable

Json = dict[str, Any]
REOPENED = timedelta(days=2)  # until the reminder that a reopened case waits
SWITCHES = ("stopped",)
_log = logging.getLogger(__name__)


class CaseDetails(Value):
    """A case and what happened to it."""

    case: CaseRecord
    timeline: list[Event]  # the oldest first
    effects: list[Effect]
    thread: list[CaseSummary]  # cases of the same sender and thread, the oldest first


class Inbox(Value):
    """What waits for a person."""

    waiting: list[CaseSummary]  # for approval: urgent ones first, then the first deadline
    total: dict[str, int]  # of all cases by status, also of those that are not listed
    in_doubt: list[CaseSummary]  # a mail or refund may have happened or not
    failed: list[CaseSummary]  # dead letters
    switches: dict[str, bool]


class Actions:
    """Actions on cases; `by` is the name of the person's API key."""

    def __init__(self, config: Config, store: Store, queue: CaseQueue, outbox: Outbox) -> None:
        self.config, self.store, self.queue, self.outbox = config, store, queue, outbox
        self._approvers, self.gateways = config.names("approvers"), config.names("gateways")

    def may_approve(self, by: str) -> bool:
        """Whether this person may decide, settle, replay and switch."""
        return not self._approvers or by in self._approvers

    def answer(
        self,
        case_id: str,
        decision: Verdict,
        by: str,
        subject: str | None = None,
        body: str | None = None,
        comment: str = "",
    ) -> CaseRecord:
        """Answer a case that waits. "approve" may change the reply, and "ask" sends `comment`.

        Raises Forbidden, NotFound, or Conflict, which names who was first.
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
        record = self.store.decide_approval(case_id, decision, by, draft, comment)
        # 3. Let a worker go on.
        return self._queued(record)

    def change(
        self,
        case_id: str,
        by: str,
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
        sure = {"confidence": 1.0, "others": (), "changed_by": by, "currency": currency}
        free = {"tokens": 0, "cost_usd": 0.0}  # what the first reading cost is recorded
        triage = old.model_copy(update={**new, **sure, **free})
        record = self.store.change_triage(case_id, triage, ", ".join(changes))
        return self._queued(record)

    def _queued(self, record: CaseRecord) -> CaseRecord:
        try:
            self.queue.submit(record)
        except Unavailable as error:
            _log.warning("case %s is queued later: %s", record.id, error)
        return record

    def resolve(self, key: str, happened: bool, by: str) -> str:
        """Settle an effect in doubt: it did happen, or it is tried again. Returns its case."""
        self._check(by)
        case_id = self.outbox.resolve(key, happened, by)
        answer = "happened" if happened else "did not happen"
        self.store.record(case_id, "resolve", actor=by, reason=f"{key} {answer}")
        self.queue.repeat(self.store.case(case_id), self.store, decided=True)
        return case_id

    def replay(self, case_id: str, by: str) -> str:
        """Go on with a failed case, or begin it again if it had come to no effect; its id."""
        self._check(by)
        case = self.store.case(case_id)
        if case.status != "failed":
            raise Conflict(f"Case {case_id} is {case.status}; only failed cases can be replayed.")
        for row in self.outbox.list("failed", case_id):
            self.outbox.replay(row.key, by)
        self.store.record(case_id, "replay", actor=by)
        by_person = case.approval and case.approval.decision
        decided = by_person or self.outbox.list(case_id=case_id)
        self.queue.repeat(case, self.store, decided=bool(decided))
        return case_id

    def reopen(self, case_id: str, by: str) -> CaseRecord:
        """Let a closed case wait for a person again. Raises Forbidden, NotFound or Conflict."""
        self._check(by)
        return self.store.reopen(case_id, by, datetime.now(UTC) + REOPENED)

    def set_switch(self, name: str, on: bool, by: str) -> None:
        """Turn "stopped" on or off: no reply is sent and no refund booked while it is on."""
        self._check(by)
        if name not in SWITCHES:
            raise BadInput(f"Unknown switch {name!r}.", hint=f"Available: {', '.join(SWITCHES)}.")
        self.store.set_switch(name, on, by)
        _log.warning("%s is %s, by %s", name, "on" if on else "off", by)

    # ── what people look at, as JSON ────────────────────────────────────────────────────────

    def details(self, case_id: str) -> Json:
        """A case with its timeline, approval and effects. Raises NotFound."""
        return CaseDetails(
            case=self.store.case(case_id),
            timeline=self.store.events(case_id),
            effects=self.outbox.list(case_id=case_id),
            thread=[CaseSummary(**dict(case)) for case in self.store.thread(case_id)],
        ).model_dump(mode="json")

    def effects(self, status: str) -> list[Json]:
        """Effects by status: "in_doubt", "failed" (dead letters), "ready", "claimed" or "done"."""
        return [effect.model_dump(mode="json") for effect in self.outbox.list(status)]

    def inbox(self) -> Json:
        """What waits for a person: approvals, doubts and failures; and the switches."""
        in_doubt, failed = self.trouble()
        return Inbox(
            waiting=self.store.waiting(),
            total=self.totals(),
            in_doubt=in_doubt,
            failed=failed,
            switches=self.switches(),
        ).model_dump(mode="json")

    def trouble(self) -> tuple[list[CaseSummary], list[CaseSummary]]:
        """Cases with an effect in doubt, and failed ones; the latest of each."""
        in_doubt = self.store.cases(status="in_doubt", limit=200)
        return in_doubt, self.store.cases(status="failed", limit=200)

    def totals(self) -> dict[str, int]:
        """Number of cases by status."""
        totals = Counter[str]()
        for (status, _), count in self.store.counts().items():
            totals[status] += count
        return dict(totals)

    def switches(self) -> dict[str, bool]:
        """The switches and whether they are on."""
        return {name: self.store.switch(name) for name in SWITCHES}

    def _check(self, by: str) -> None:
        if not self.may_approve(by):
            raise Forbidden(f"{by!r} may not approve cases.", hint="See WORKFLOW_APPROVERS.")
