"""What the store returns: cases, their events and approvals.

    record = store.case("c0123456789abcde")
    record.status, record.mail.subject

Immutable values. What is in a mail, a decision or a draft is in `case.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from agentic_workflow.case import Decision, Draft, Facts, Mail, Status, Triage, Value

Verdict = Literal["approve", "reject", "ask"]


class CaseSummary(Value):
    """A row of a list of cases."""

    number: int  # order of arrival; the cursor of lists
    id: str
    status: Status
    attempt: int = 0  # of performing the effects
    reopened: int = 0  # how often a person has reopened the case
    sender: str
    subject: str
    category: str | None = None
    priority: str | None = None
    received_at: datetime
    changed_at: datetime
    closed_at: datetime | None = None
    closed_by: str = ""  # "desk", a person, or "deadline"
    due_at: datetime | None = None  # of the approval


class Approval(Value):
    """A request to a person, and what they decided."""

    reasons: tuple[str, ...]
    requested_at: datetime
    due_at: datetime
    decision: Verdict | None = None  # None: undecided
    decided_by: str = ""
    decided_at: datetime | None = None
    comment: str = ""
    proposal: Draft | None = None  # the desk's, if the person changed it


class CaseRecord(CaseSummary):
    """Everything about a case but its events and effects."""

    mail: Mail
    triage: Triage | None = None
    facts: Facts | None = None
    decision: Decision | None = None
    draft: Draft | None = None
    approval: Approval | None = None
    outcome: str = ""


class Event(Value):
    """An entry of the audit trail."""

    case_id: str
    at: datetime
    kind: str
    actor: str
    reason: str
    evidence: tuple[str, ...]
    model: str
    prompt_version: str
    tokens: int
    cost_usd: float
    seconds: float


class Effect(Value):
    """A row of the outbox: a refund or a reply, and what became of it."""

    key: str  # case and action: the same for every attempt
    case_id: str
    action: str
    receiver: str
    payload: dict[str, Any]
    status: str  # ready, claimed, done, in_doubt or failed
    attempts: int
    error: str
    receipt: str
    executor: str
    claimed_at: datetime | None
    done_at: datetime | None
