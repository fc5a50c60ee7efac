"""The help desk: one durable workflow that takes a mail from its arrival to the reply.

    desk = HelpDesk(store=store, policy=policy, triager=triager, …)    # `engine.desk.open_desk`
    queue.submit(case_id, customer, number)                            # a worker runs `handle_mail`

Each step below is recorded when it ends, and a recovered workflow goes on after the last one that
was: a step may run twice, so what it writes is the same each time. Effects outside are behind the
outbox, which sees to it that they do not happen twice. A case that waits, for a person or for the
next attempt, is not a running workflow: its status is in the store, and `finish_case` goes on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol

from dbos import DBOS, DBOSConfiguredInstance, error
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError

from agentic_workflow.decide.alone import Understand, require_proof
from agentic_workflow.decide.shop import look_up
from agentic_workflow.decide.vocabulary import vocabulary_doubts
from agentic_workflow.effects.outbox import Outbox, Outcome, effect_key
from agentic_workflow.mail.screen import screen
from agentic_workflow.store.case import Decision, Draft, Facts, Mail, Passage, Screening, Triage
from agentic_workflow.store.store import CaseRecord, Store, answered_cases
from agentic_workflow.triage.triager import unread
from seedbed.errors import Busy, Conflict, NotFound, Unavailable, public_message

if TYPE_CHECKING:
    from agentic_workflow.decide.draft import Writer
    from agentic_workflow.decide.passages import Passages
    from agentic_workflow.decide.policy import PolicyFile
    from agentic_workflow.decide.shop import Shop
    from agentic_workflow.triage.triager import Triager

VERSION = "1"
"""Raise it when steps are added, removed or reordered: workers finish what their version began."""
Json = dict[str, Any]


class Queue(Protocol):
    """Where a workflow leaves what comes later; see `engine.queue`."""

    def finish(self, case_id: str, attempt: int, customer: str, delay: float = 0.0) -> None:
        """Let a worker run `finish_case`."""


# A step waits for a database that is away: 0.5 s between attempts, for some ten minutes.
step = DBOS.step(
    retries_allowed=True,
    interval_seconds=0.5,
    backoff_rate=1.0,
    max_attempts=1200,
    should_retry=lambda problem: isinstance(problem, Unavailable | Busy),
)


@DBOS.dbos_class("HelpDesk")
class HelpDesk(DBOSConfiguredInstance):
    """The parts that handle a case, and the workflow that uses them; one in a process."""

    def __init__(
        self,
        *,
        store: Store,
        policy: PolicyFile,
        triager: Triager,
        shop: Shop,
        passages: Passages,
        writer: Writer,
        outbox: Outbox,
        queue: Queue,
    ) -> None:
        super().__init__("desk")
        self.store, self.policy, self.triager = store, policy, triager
        self.shop, self.passages, self.writer = shop, passages, writer
        self.outbox, self.queue = outbox, queue
        self.understand: Understand = vocabulary_doubts
        self.running: set[str] = set()  # workflow ids, for the supervisor
        self.restart: Callable[[], NoReturn] | None = None  # of this process; set by the worker

    # ── the workflows ───────────────────────────────────────────────────────────────────────

    @DBOS.workflow(max_recovery_attempts=5)
    def handle_mail(self, case_id: str) -> str:
        """Take a new mail to its reply, or to a person; returns the status of the case."""
        return self._guard(case_id, lambda: self._handle_mail(case_id))

    @DBOS.workflow(max_recovery_attempts=5)
    def finish_case(self, case_id: str, attempt: int) -> str:
        """Go on after a decision, or with another attempt; returns the status of the case."""
        return self._guard(case_id, lambda: self._finish(case_id, attempt))

    def _handle_mail(self, case_id: str) -> str:
        # 1. Receive: the mail is in the store already, parsed and masked.
        mail = Mail.model_validate(self.receive(case_id))
        # 2. Deduplicate: by Message-ID the store did; here by content.
        if self.deduplicate(case_id):
            return "duplicate"
        # 3. Screen for spam and for attempts to instruct a model.
        screening = Screening.model_validate(self.screen(case_id, mail))
        # 4. Classify, and extract what the mail asks for.
        triage = Triage.model_validate(self.classify(case_id, mail, screening))
        # 5. Look up the customer and the order, and what the policy documents say.
        lookup = self.look_up(case_id, mail, triage)
        facts = Facts.model_validate(lookup["facts"])
        passages = [*map(Passage.model_validate, lookup["passages"])]
        # 6. Decide by the policy.
        decision = Decision.model_validate(self.decide(case_id, mail, screening, triage, facts))
        # 7. Draft the reply.
        doubts = self.draft(case_id, passages) if decision.action != "ignore" else []
        # 8. Ask a person where required. The workflow ends: a case that waits uses no worker.
        if decision.approval or doubts:
            return self.ask_person(case_id, [*decision.reasons, *doubts])
        return self._finish(case_id, 0)

    def _finish(self, case_id: str, attempt: int) -> str:
        # 9. Act: the refund first, because the reply promises it.
        plan = self.plan(case_id)
        for action in plan["actions"]:
            outcome = self.act(case_id, action)
            if outcome["status"] != "done":
                return self.postpone(case_id, attempt, action, outcome)
        # 10. Close.
        return plan["status"] or self.close(case_id, plan)

    def _guard(self, case_id: str, run: Callable[[], str]) -> str:
        """Run a workflow; an exception makes its case "failed", which can be replayed."""
        workflow_id = str(DBOS.workflow_id)
        self.running.add(workflow_id)
        try:
            return run()
        except DBAPIError:
            # DBOS could not record a step, so nothing that follows would be recorded either. This
            # process starts again, and recovers the workflow from the last recorded step.
            if self.restart:
                self.restart()
            raise
        except error.DBOSException:
            raise  # recorded by DBOS; `Upkeep` marks the case
        except Exception as problem:
            message = public_message(problem, DBOS.logger)
            return self.fail(case_id, f"{type(problem).__name__}: {message}")
        finally:
            self.running.discard(workflow_id)

    # ── the steps ───────────────────────────────────────────────────────────────────────────

    @step
    def receive(self, case_id: str) -> Json:
        """Mark the case as taken; returns its mail."""
        started, mail = time.perf_counter(), self.store.case(case_id).mail
        first = next(iter(answered_cases(mail)), "")
        reason = ""
        with suppress(NotFound):
            if first and self.store.case(first).mail.sender == mail.sender:
                reason = f"answers case {first}"
        change = {"status": "working"}
        return self._record(case_id, "receive", started, mail, reason, mail.warnings, change)

    @step
    def deduplicate(self, case_id: str) -> str | None:
        """The earlier case with the same content, if there is one; this one is closed then."""
        first = self.store.duplicate_of(case_id)
        if first:
            reason = f"same mail as case {first}"
            event = {"kind": "duplicate", "reason": reason}
            self.store.update(case_id, status="duplicate", outcome=reason, event=event)
        return first

    @step
    def screen(self, case_id: str, mail: Mail) -> Json:
        """What is suspicious about the mail."""
        started, screening = time.perf_counter(), screen(mail)
        reason = screening.injection or ("spam" if screening.spam else "nothing suspicious")
        return self._record(case_id, "screen", started, screening, reason, screening.reasons)

    @step
    def classify(self, case_id: str, mail: Mail, screening: Screening) -> Json:
        """Category, priority, order and amount, and whether a person has to approve."""
        started, triage = time.perf_counter(), self.store.case(case_id).triage
        if triage is None or not triage.changed_by:  # a person's reading is not classified again
            limit = self._exceeded(case_id) if self.triager.paid else ""
            if limit:
                triage = unread(f"Limit exceeded: {limit}")
            else:
                triage = self.triager.triage(mail, screening)
        reason = triage.approval_reason or f"{triage.category}, priority {triage.priority}"
        fields = triage.model_dump(include={"model", "tokens", "cost_usd"})
        record, evidence = self._record, triage.reasons
        return record(case_id, "classify", started, triage, reason, evidence, **fields)

    @step
    def look_up(self, case_id: str, mail: Mail, triage: Triage) -> Json:
        """The customer, the order, and passages of the policy documents."""
        started, facts = time.perf_counter(), look_up(self.shop, mail.sender, triage.order_id)
        refunds, refunded = self.outbox.refunds(facts.order_id)
        facts = facts.model_copy(update={"refunds": refunds, "refunded": refunded})
        passages = self.passages.for_mail(mail, triage)
        reason = f"customer {facts.customer_id or 'unknown'}, order {facts.order_id or 'unknown'}"
        evidence = (*facts.warnings, *(passage.source for passage in passages))
        values = [passage.model_dump(mode="json") for passage in passages]
        change = {"triage": triage, "facts": facts}
        recorded = self._record(case_id, "look up", started, facts, reason, evidence, change)
        return {"facts": recorded, "passages": values}

    @step
    def decide(
        self, case_id: str, mail: Mail, screening: Screening, triage: Triage, facts: Facts
    ) -> Json:
        """The decision of the policy."""
        started, policy = time.perf_counter(), self.policy.current()
        limit = self._exceeded(case_id)
        decision = policy.decide(mail, screening, triage, facts, over_limit=limit)
        standing = self.store.standing(case_id)
        decision = require_proof(
            decision, mail, triage, facts, policy.alone, standing, self.understand
        )
        change = {"decision": decision, "policy_version": policy.version}
        reason = f"{decision.action} by rule {decision.rule!r}, policy {policy.version}"
        return self._record(case_id, "decide", started, decision, reason, decision.reasons, change)

    @step
    def draft(self, case_id: str, passages: Sequence[Passage]) -> list[str]:
        """Write the reply into the store; returns why a person has to approve it, if at all."""
        started, case = time.perf_counter(), self.store.case(case_id)
        mail, triage, facts, decision = case.mail, case.triage, case.facts, case.decision
        assert triage and facts and decision  # written by the steps before
        if not mail.verified:  # such a sender learns no facts
            facts = Facts()
        draft = self.writer.write(mail, triage, facts, decision, passages)
        fields = draft.model_dump(include={"model", "prompt_version", "tokens", "cost_usd"})
        change = {"draft": draft}
        self._record(case_id, "draft", started, None, "", draft.citations, change, **fields)
        return [*draft.warnings, *(["A model wrote the reply."] if draft.model else [])]

    @step
    def ask_person(self, case_id: str, reasons: Sequence[str]) -> str:
        """Let the case wait for an approval."""
        hours = self.policy.current().approval.deadline_hours
        self.store.request_approval(case_id, reasons, datetime.now(UTC) + timedelta(hours=hours))
        return "waiting"

    @step
    def plan(self, case_id: str) -> Json:
        """The effects that the decision demands, and a person's where one was asked."""
        case, approval = self.store.case(case_id), self.store.approval(case_id)
        if case.status in ("closed", "duplicate"):
            return {"status": case.status, "actions": []}
        decision, verdict = case.decision, approval.decision if approval else None
        if decision is None or (verdict is None and (approval or decision.approval)):
            raise Conflict("This case has no decision.", hint="Replay it.")
        self.store.update(case_id, status="working")
        draft = case.draft or Draft(subject=f"Re: {case.mail.subject}", body="")
        if verdict == "ask" and approval and approval.comment:
            draft = draft.model_copy(update={"body": approval.comment})
            self.store.update(case_id, draft=draft)
        actions = ["refund"] if decision.action == "refund" and verdict != "ask" else []
        actions += ["reply"] if draft.body else []
        by = approval.decided_by if approval else "desk"
        return {"status": "", "actions": [] if verdict == "reject" else actions, "by": by}

    @step
    def act(self, case_id: str, action: str) -> Json:
        """Carry out one effect, through the outbox."""
        started, case = time.perf_counter(), self.store.case(case_id)
        key, receiver, payload = effect(case, action)
        payload["automatic"] = self.store.approval(case_id) is None
        if self.store.switch("stopped"):
            outcome = Outcome("stopped", error="the kill switch is on")
        else:
            outcome = self.outbox.perform(key, case_id, receiver, payload)
        reason = f"{outcome.status}: {outcome.receipt or outcome.error}"
        self._record(case_id, action, started, None, reason)
        return vars(outcome)

    @step
    def postpone(self, case_id: str, attempt: int, action: str, outcome: Json) -> str:
        """Leave the case to a later attempt, or to a person."""
        case, retry = self.store.case(case_id), self.policy.current().retry
        status, reason = outcome["status"], f"{action}: {outcome['error']}"
        if status == "retry" and outcome["attempts"] >= retry.attempts:
            status = self.outbox.give_up(effect(case, action)[0])
        if status in ("in_doubt", "failed"):
            return self._leave(case_id, status, reason)
        self.store.update(case_id, status="approved", attempt=attempt + 1, outcome=reason)
        if status != "stopped":  # when the kill switch is released, the upkeep queues the case
            pause = retry.first_seconds * 2 ** max(outcome["attempts"] - 1, 0)
            delay = pause * random.uniform(0.75, 1.25)
            self.queue.finish(case_id, attempt + 1, case.mail.sender, delay)
        return "approved"

    @step
    def close(self, case_id: str, plan: Json) -> str:
        """Close the case."""
        outcome = " and ".join(plan["actions"]) or "nothing to do"
        event = {"kind": "close", "reason": outcome}
        self.store.update(
            case_id, status="closed", outcome=outcome, closed_by=plan["by"], event=event
        )
        return "closed"

    @step
    def fail(self, case_id: str, reason: str) -> str:
        """Put the case among the dead letters."""
        return self._leave(case_id, "failed", reason)

    def _leave(self, case_id: str, status: Literal["in_doubt", "failed"], reason: str) -> str:
        event = {"kind": status, "reason": reason}
        self.store.update(case_id, status=status, outcome=reason, event=event)
        return status

    def _record(
        self,
        case_id: str,
        kind: str,
        started: float,
        result: BaseModel | None,
        reason: str,
        evidence: Sequence[str] = (),
        change: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Json:
        """Change the case and add the step to its audit trail; returns the result as JSON."""
        event = {"kind": kind, "reason": reason, "evidence": evidence, **fields}
        event["seconds"] = time.perf_counter() - started
        if change:
            self.store.update(case_id, event=event, **change)
        else:
            self.store.record(case_id, **event)
        return result.model_dump(mode="json") if result else {}

    def _exceeded(self, case_id: str) -> str:
        """The limit that the case or the day exceeds, or ""."""
        limits, events = self.policy.current().limits, self.store.events(case_id)
        names = ("tokens", "cost_usd")
        case = {name: sum(getattr(event, name) for event in events) for name in names}
        day = self.store.spent(datetime.now(UTC).date()).model_dump()
        for scope, usage in (("case", case), ("day", day)):
            for name, limit in getattr(limits, scope).model_dump().items():
                if usage[name] > limit:
                    return f"{usage[name]:.6g} {name} of {limit:g} per {scope}"
        return ""


def effect(case: CaseRecord, action: str) -> tuple[str, str, Json]:
    """The key of an effect, its receiver, and what that needs to know, as JSON."""
    mail, decision, draft = case.mail, case.decision, case.draft
    key = effect_key(case.id, action)
    if action == "reply" and case.reopened:  # another letter; a refund is booked once, whatever
        key = f"{key}:{case.reopened}"
    if action == "refund" and decision and case.facts:
        amount = {"amount": f"{decision.amount:.2f}", "currency": decision.currency}
        number = {"refund_number": case.facts.refunds + 1}
        return key, "payments", {"order_id": case.facts.order_id, **amount, **number}
    assert draft
    thread = {"in_reply_to": mail.message_id, "references": mail.in_reply_to[::-1]}
    payload = {"to": mail.sender, "subject": draft.subject, "body": draft.body}
    return key, "smtp", {"case_id": case.id, **payload, **thread}
