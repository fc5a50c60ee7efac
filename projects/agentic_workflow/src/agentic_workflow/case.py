"""What a case consists of: the mail, its triage, facts about the customer, decision and draft.

    triage = Triage(category="refund", priority="normal", order_id="10234", amount=Decimal("49.90"))
    Triage.model_validate(triage.model_dump(mode="json")) == triage

Plain immutable values, imported by every other package; the store keeps them as JSON. `CaseRecord`
and what follows are rows of the case database.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

Category = Literal[
    "billing", "refund", "shipping", "technical", "account", "complaint", "spam", "other"
]
Priority = Literal["high", "normal", "low"]
Language = Literal["en", "de", "fr", "es"]
Status = Literal[
    "received",  # stored, waits for a worker
    "working",  # a worker is on it
    "waiting",  # for a person's approval
    "approved",  # a person or the deadline decided; waits for a worker
    "closed",  # done: replied, refunded, or nothing to do
    "in_doubt",  # an effect may or may not have happened; a person has to find out
    "failed",  # dead letter: an effect failed for good, or the workflow failed too often
    "duplicate",  # the same mail came before
]
Verdict = Literal["approve", "reject", "ask"]
Action = Literal["reply", "refund", "ask", "ignore", "hand_over"]
"""What the desk does: reply; refund and reply; ask the sender; nothing; leave it to a person."""

CATEGORIES: tuple[Category, ...] = get_args(Category)
STATUSES: tuple[Status, ...] = get_args(Status)


class Value(BaseModel):
    """Base of the values below: immutable; unknown fields of a later version are skipped."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Mail(Value):
    """A parsed mail. All text in it is masked: it contains no card, account or passport number."""

    message_id: str  # without <>; made from the content if the mail has none
    content_hash: str  # equal for the same sender, subject, text, thread and attachments
    sender: str  # address in lower case; empty if there is none
    verified: bool = False  # the configured mail server verified the sender's domain
    sender_name: str = ""
    subject: str = ""
    text: str = ""  # what the sender wrote now, without the quoted thread and the signature
    quoted: str = ""  # the quoted thread
    language: Language = "en"  # of the reply
    spoken: str = ""  # ISO 639 code of the mail's language; empty without text
    sent_at: datetime | None = None  # with a time zone
    in_reply_to: tuple[str, ...] = ()  # message ids of the thread, the direct parent first
    attachments: tuple[str, ...] = ()  # names of files, which are never opened
    automatic: bool = False  # proven by a header of RFC 3834 or a report of RFC 3464; not answered
    looks_automatic: tuple[str, ...] = ()  # headers of programs and lists; some people send them
    warnings: tuple[str, ...] = ()  # what was wrong with the mail
    spam: bool = False  # marked by the mail server
    injection: str = ""  # why it seems to instruct a model


class Triage(Value):
    """What the mail asks for."""

    category: Category
    priority: Priority = "normal"
    order_id: str | None = None  # matches WORKFLOW_ORDER_PATTERN; as written in the mail
    order_ids: tuple[str, ...] = ()  # all matches in the new text and subject, in upper case
    amount: Decimal | None = None  # asked for or disputed now
    currency: str | None = None  # ISO 4217; None if the mail names none
    approval_reason: str = ""  # why a person has to approve; empty if triage needs none
    confidence: float = 1.0  # of the category, 0 to 1
    reasons: tuple[str, ...] = ()  # one line per field, with the words that decided it
    others: tuple[Category, ...] = ()  # what single sentences ask for besides the category
    model: str = ""  # empty: read without one
    tokens: int = 0
    cost_usd: float = 0.0
    changed_by: str = ""  # a person who changed the category, the order or the amount


class OrderLine(Value):
    """One line of an order."""

    name: str
    quantity: int
    price: Decimal


class Facts(Value):
    """What the shop's database contains about the sender and the order."""

    customer_id: str | None = None
    customer_name: str = ""
    order_id: str | None = None  # only if the order exists and belongs to the sender
    order_status: str = ""  # paid, shipped, delivered, cancelled, returned
    ordered_on: str = ""  # ISO dates
    delivered_on: str = ""
    carrier: str = ""
    tracking: str = ""
    expected_on: str = ""
    total: Decimal | None = None
    refundable: Decimal | None = None  # paid minus refunded
    currency: str = "EUR"
    refunds: int = 0  # number of them in the outbox for this order, failed ones included
    refunded: Decimal = Decimal(0)  # their sum without failed ones, whatever the shop shows
    charges: int = 0  # number of payments for the order; 2 is a double charge
    lines: tuple[OrderLine, ...] = ()
    recent_orders: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # "order 10234 belongs to another customer"


class Passage(Value):
    """A paragraph of a policy document."""

    source: str  # "returns §2"
    text: str
    language: Language = "en"
    score: float = 0.0


class Standing(Value):
    """Other cases of a sender, and what the desk sent them by itself today."""

    open_case: str | None = None  # of the sender
    same_case: str | None = None  # in which the sender wrote the same
    replies_to_address: int = 0


class Decision(Value):
    """What to do by the policy, and why."""

    action: Action
    approval: bool  # whether a person has to approve first
    rule: str  # name of the rule in policy.toml
    reasons: tuple[str, ...] = ()
    amount: Decimal | None = None  # to refund
    currency: str = "EUR"
    policy_version: str = ""


class Draft(Value):
    """A reply, not sent yet."""

    subject: str
    body: str
    citations: tuple[str, ...] = ()  # sources of the passages that the body cites
    model: str = ""  # empty: written from templates
    prompt_version: str = ""
    tokens: int = 0
    cost_usd: float = 0.0
    warnings: tuple[str, ...] = ()


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
    order_id: str | None = None  # of a refund
    refund_number: int | None = None  # among those of the order
