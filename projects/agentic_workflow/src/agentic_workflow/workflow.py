"""The help desk: one durable workflow that takes a mail from its arrival to the reply.

    desk = HelpDesk(parts, store, outbox, queue)    # `engine.desk.open_desk`
    queue.submit(record)                            # a worker runs `handle_mail`

Each step below takes the id of a case, writes to the store and returns a word, which DBOS records:
the mail itself is only in the case database. A recovered workflow continues after the last recorded
step. A step may run twice, so what it writes is the same each time. External effects go through
the outbox, which prevents duplicates. A case that waits, for a person or for the
next attempt, is not a running workflow: its status is in the store, and another workflow goes on.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from dbos import DBOS, DBOSConfiguredInstance, error
from sqlalchemy.exc import DBAPIError

from agentic_workflow.case import CaseRecord, Draft, Facts
from agentic_workflow.decide.alone import Understand, require_proof
from agentic_workflow.decide.shop import look_up
from agentic_workflow.decide.vocabulary import vocabulary_doubts
from agentic_workflow.effects.outbox import Outbox, effect_key
from agentic_workflow.reply.letter import Case
from agentic_workflow.store.store import Store
from agentic_workflow.triage.triager import unread
from seedbed.errors import Busy, Conflict, Unavailable, public_message

if TYPE_CHECKING:
    from agentic_workflow.decide.policy import PolicyFile
    from agentic_workflow.decide.shop import Shop
    from agentic_workflow.engine.queue import CaseQueue
    from agentic_workflow.reply.draft import Writer
    from agentic_workflow.reply.passages import Passages
    from agentic_workflow.triage.triager import Triager

VERSION = "2"
"""Raise it when steps are added, removed or reordered: unfinished cases then begin again."""
LONGEST_PAUSE = 300.0  # seconds between two attempts at an effect
Json = dict[str, Any]


# A step waits for an unreachable database: 0.5 s between attempts, for some ten minutes.
step = DBOS.step(
    retries_allowed=True,
    interval_seconds=0.5,
    backoff_rate=1.0,
    max_attempts=1200,
    should_retry=lambda problem: isinstance(problem, Unavailable | Busy),
)


@dataclass(frozen=True)
class JudgingParts:
    """The parts that judge a mail; they neither store nor send anything."""

    policy: PolicyFile
    triager: Triager
    shop: Shop
    passages: Passages
    writer: Writer


@DBOS.dbos_class("HelpDesk")
class HelpDesk(DBOSConfiguredInstance):
    """The parts that handle a case, and the workflow that uses them; one per process."""

    def __init__(self, parts: JudgingParts, store: Store, outbox: Outbox, queue: CaseQueue) -> None:
        super().__init__("desk")
        self.parts, self.store, self.outbox, self.queue = parts, store, outbox, queue
        self.understand: Understand = vocabulary_doubts
        self.broken = threading.Event()  # for the supervisor: this process has to end
        self.running = set[str]()  # workflows of this process, for the supervisor
        self._cases: dict[str, CaseRecord] = {}  # of the workflows that run

    @DBOS.workflow(max_recovery_attempts=5)
    def handle_mail(self, case_id: str, attempt: int = 0, decided: bool = False) -> str:
        """Take a mail to its reply, or to a person; returns the status of the case.

        With `decided`, go on after a person's decision, or with another attempt at the effects. An
        exception makes the case "failed", which can be replayed.
        """
        self.running.add(str(DBOS.workflow_id))
        self._cases.pop(case_id, None)
        try:
            return self._finish(case_id, attempt) if decided else self._handle(case_id, attempt)
        except DBAPIError:
            # DBOS could not record a step, so nothing that follows would be recorded either. This
            # process ends, and the next one recovers the workflow from the last recorded step.
            self.broken.set()
            threading.Event().wait()  # until the process has ended, and this thread with it
            raise
        except error.DBOSException:
            raise  # recorded by DBOS; `Upkeep` marks the case
        except Exception as problem:
            message = public_message(problem, DBOS.logger)
            return self.fail(case_id, f"{type(problem).__name__}: {message}")
        finally:
            self._cases.pop(case_id, None)
            self.running.discard(str(DBOS.workflow_id))

    def _handle(self, case_id: str, attempt: int) -> str:
        # 1. Receive: the mail is in the store, parsed and masked. A copy with its Message-ID is the
        # same case; one with its content is a duplicate.
        if self.receive(case_id) == "duplicate":
            return "duplicate"
        # 2. Classify, and extract what the mail asks for.
        self.classify(case_id)
        # 3. Look up the customer and the order.
        self.look_up(case_id)
        # 4. Decide by the policy.
        self.decide(case_id)
        # 5. Draft the reply.
        if self.draft(case_id) == "ask":
            # 6. Ask a person. The workflow ends: a case that waits uses no worker.
            return self.ask_person(case_id)
        return self._finish(case_id, attempt)

    def _finish(self, case_id: str, attempt: int) -> str:
        # 7. Act: the refund first, because the reply promises it.
        status, *actions = self.plan(case_id)
        for action in actions:
            status = self.act(case_id, action, attempt)
            if status != "done":
                return status
        # 8. Close.
        return self.close(case_id, actions) if status in ("act", "done") else status

    # ── the steps ───────────────────────────────────────────────────────────────────────────

    @step
    def receive(self, case_id: str) -> str:
        """Mark the case as taken, or as a duplicate; records the reasons to distrust the mail."""
        started, case = time.perf_counter(), self._case(case_id)
        if first := self.store.duplicate_of(case):
            reason = f"same mail as case {first}"
            self._record(case_id, "duplicate", started, reason, status="duplicate", outcome=reason)
            return "duplicate"
        evidence = (*case.mail.warnings, *filter(None, [case.mail.injection]))
        self._record(case_id, "receive", started, "", evidence, status="working")
        return "working"

    @step
    def classify(self, case_id: str) -> None:
        """Category, priority, order and amount, and whether a person has to approve."""
        started, case = time.perf_counter(), self._case(case_id)
        triage = case.triage
        if triage is None or not triage.changed_by:  # a person's reading is not classified again
            if limit := self._exceeded(case_id):
                triage = unread(f"Limit exceeded: {limit}")
            else:
                triage = self.parts.triager.triage(case.mail)
        reason = triage.approval_reason or f"{triage.category}, priority {triage.priority}"
        cost = triage.model_dump(include={"model", "tokens", "cost_usd"})
        self._record(case_id, "classify", started, reason, triage.reasons, cost, triage=triage)

    @step
    def look_up(self, case_id: str) -> None:
        """The customer and the order."""
        started, case = time.perf_counter(), self._case(case_id)
        assert case.triage  # written by the step before
        facts = look_up(self.parts.shop, case.mail.sender, case.triage.order_id)
        refunds, refunded = self.outbox.refunds(facts.order_id)
        facts = facts.model_copy(update={"refunds": refunds, "refunded": refunded})
        reason = f"customer {facts.customer_id or 'unknown'}, order {facts.order_id or 'unknown'}"
        self._record(case_id, "look up", started, reason, facts.warnings, facts=facts)

    @step
    def decide(self, case_id: str) -> None:
        """The decision of the policy."""
        started, case = time.perf_counter(), self._case(case_id)
        mail, triage, facts = case.mail, case.triage, case.facts
        assert triage and facts
        policy = self.parts.policy.current()
        limit, standing = self._exceeded(case_id), self.store.standing(case)
        decision = policy.decide(mail, triage, facts, over_limit=limit)
        decision = require_proof(
            decision, mail, triage, facts, policy.alone, standing, self.understand
        )
        reason = f"{decision.action} by rule {decision.rule!r}, policy {policy.version}"
        self._record(case_id, "decide", started, reason, decision.reasons, decision=decision)

    @step
    def draft(self, case_id: str) -> str:
        """Write the reply; returns "ask" if a person has to approve it, and otherwise "act"."""
        started, case = time.perf_counter(), self._case(case_id)
        mail, triage, decision = case.mail, case.triage, case.decision
        assert triage and case.facts and decision
        draft, cost = None, {}
        if decision.action != "ignore":
            facts = case.facts if mail.verified else Facts()  # unverified senders get no facts
            passages = self.parts.passages.search(
                f"{mail.subject}\n{mail.text}", mail.language, category=triage.category
            )
            draft = self.parts.writer.write(Case(mail, triage, facts, decision, passages))
            cost = draft.model_dump(include={"model", "prompt_version", "tokens", "cost_usd"})
        citations = draft.citations if draft else ()
        self._record(case_id, "draft", started, "", citations, cost, draft=draft)
        return "ask" if decision.approval or _doubts(draft) else "act"

    @step
    def ask_person(self, case_id: str) -> str:
        """Let the case wait for an approval."""
        case, hours = self._case(case_id), self.parts.policy.current().approval.deadline_hours
        assert case.decision
        reasons = [*case.decision.reasons, *_doubts(case.draft)]
        self.store.request_approval(case_id, reasons, datetime.now(UTC) + timedelta(hours=hours))
        return "waiting"

    @step
    def plan(self, case_id: str) -> list[str]:
        """Returns "act" and the effects of the decision, or the status of a closed case."""
        case = self._case(case_id, reload=True)
        if case.status in ("closed", "duplicate"):
            return [case.status]
        decision, approval = case.decision, case.approval
        verdict = approval.decision if approval else None
        if decision is None or (verdict is None and (approval or decision.approval)):
            raise Conflict("This case has no decision.", hint="Replay it.")
        draft = case.draft or Draft(subject=f"Re: {case.mail.subject}", body="")
        if verdict == "ask" and approval and approval.comment:
            draft = draft.model_copy(update={"body": approval.comment})
            self.store.update(case_id, draft=draft)
        self.store.update(case_id, status="working")
        refund = decision.action == "refund" and verdict != "ask"
        actions = [*(["refund"] if refund else []), *(["reply"] if draft.body else [])]
        return ["act", *(actions if verdict != "reject" else [])]

    @step
    def act(self, case_id: str, action: str, attempt: int) -> str:
        """Carry out one effect through the outbox.

        Returns "done", or the status of a case that is left to a later attempt or to a person.
        """
        started, case = time.perf_counter(), self._case(case_id, reload=True)
        key, receiver, payload = effect(case, action)
        payload["automatic"] = case.approval is None
        stopped, retry = self.store.stopped(), self.parts.policy.current().retry
        status, result, attempts = "stopped", "the kill switch is on", 0
        if not stopped:
            row = self.outbox.perform(key, case_id, receiver, payload)
            status, result, attempts = row.status, row.receipt or row.error, row.attempts
        reason = f"{action}: {result}"
        self._record(case_id, action, started, f"{status}: {result}")
        if status == "done":
            return status
        if status in ("ready", "claimed") and attempts >= retry.attempts:
            status = self.outbox.give_up(key)
        if status in ("in_doubt", "failed"):
            return self._leave(case_id, "failed" if status == "failed" else "in_doubt", reason)
        self.store.update(case_id, status="approved", attempt=attempt + 1, outcome=reason)
        if not stopped:  # when the kill switch is released, the upkeep queues the case
            pause = min(retry.first_seconds * 2 ** max(attempts - 1, 0), LONGEST_PAUSE)
            delay = pause * random.uniform(0.75, 1.25)
            again = {"status": "approved", "attempt": attempt + 1}
            self.queue.submit(case.model_copy(update=again), delay)
        return "approved"

    @step
    def close(self, case_id: str, actions: Sequence[str]) -> str:
        """Close the case."""
        approval, outcome = self._case(case_id).approval, " and ".join(actions) or "nothing to do"
        by = approval.decided_by if approval else "desk"
        event = {"kind": "close", "reason": outcome}
        self.store.update(case_id, status="closed", outcome=outcome, closed_by=by, event=event)
        return "closed"

    @step
    def fail(self, case_id: str, reason: str) -> str:
        """Mark the case as failed."""
        return self._leave(case_id, "failed", reason)

    def _leave(self, case_id: str, status: Literal["in_doubt", "failed"], reason: str) -> str:
        event = {"kind": status, "reason": reason}
        self.store.update(case_id, status=status, outcome=reason, event=event)
        return status

    def _case(self, case_id: str, *, reload: bool = False) -> CaseRecord:
        """The case as the last step left it, from the store if this workflow has not read it."""
        if reload or case_id not in self._cases:
            self._cases[case_id] = self.store.case(case_id)
        return self._cases[case_id]

    def _record(
        self,
        case_id: str,
        kind: str,
        started: float,
        reason: str,
        evidence: Sequence[str] = (),
        cost: Json | None = None,
        **change: Any,
    ) -> None:
        """Change the case and add the step to its audit trail."""
        seconds = time.perf_counter() - started
        event = {"kind": kind, "reason": reason, "evidence": evidence, "seconds": seconds}
        self.store.update(case_id, event=event | (cost or {}), **change)
        self._cases[case_id] = self._case(case_id).model_copy(update=change)

    def _exceeded(self, case_id: str) -> str:
        """The limit that the case or the day exceeds, or ""."""
        limits = self.parts.policy.current().limits
        usd = sum(event.cost_usd for event in self.store.events(case_id))
        today = self.store.spent_today()
        for cost, limit, scope in ((usd, limits.case_usd, "case"), (today, limits.day_usd, "day")):
            if cost > limit:
                return f"{cost:.6g} USD of {limit:g} per {scope}"
        return ""


def _doubts(draft: Draft | None) -> list[str]:
    if draft is None:
        return []
    return [*draft.warnings, *(["A model wrote the reply."] if draft.model else [])]


def effect(case: CaseRecord, action: str) -> tuple[str, str, Json]:
    """The key of an effect, its receiver, and the receiver's input as JSON."""
    mail, decision, draft = case.mail, case.decision, case.draft
    key = effect_key(case.id, action)
    if action == "reply" and case.reopened:  # a new letter; a refund is still booked only once
        key = f"{key}:{case.reopened}"
    if action == "refund" and decision and case.facts:
        amount = {"amount": f"{decision.amount:.2f}", "currency": decision.currency}
        number = {"refund_number": case.facts.refunds + 1}
        return key, "payments", {"order_id": case.facts.order_id, **amount, **number}
    assert draft
    thread = {"in_reply_to": mail.message_id, "references": mail.in_reply_to[::-1]}
    payload = {"to": mail.sender, "subject": draft.subject, "body": draft.body}
    return key, "smtp", {"case_id": case.id, **payload, **thread}
