"""What the desk needs to know before it acts without a person."""

from decimal import Decimal
from typing import Any

import pytest

from agentic_workflow.case import Decision, Facts, Mail, Standing, Triage
from agentic_workflow.decide.alone import Alone, require_proof

MAIL = Mail(
    message_id="m",
    content_hash="h",
    sender="tom@mail.example",
    subject="Order 59921",
    text="I returned the parcel. When do I get my money?",
    verified=True,
    spoken="en",
)
TRIAGE = Triage(category="refund", order_id="59921", order_ids=("59921",), confidence=0.95)
FACTS = Facts(
    customer_id="K1",
    order_id="59921",
    order_status="returned",
    tracking="PO4476396401",
    refundable=Decimal("54.80"),
)
REFUND = Decision(action="refund", approval=False, rule="r", amount=Decimal("54.80"))


def judge(decision: Decision = REFUND, **changes: dict[str, Any]) -> Decision:
    parts = {"mail": MAIL, "triage": TRIAGE, "facts": FACTS, "standing": Standing()}
    for name, change in changes.items():
        parts[name] = parts[name].model_copy(update=change)  # type: ignore[attr-defined]
    return require_proof(decision, terms=Alone(), **parts)  # type: ignore[arg-type]


def test_refund_with_every_proof_needs_no_person() -> None:
    decision = judge()
    assert (decision.action, decision.approval, decision.reasons) == ("refund", False, ())
    quoted = {"quoted": "> Your refund of order 59921"}
    tracked = {"text": "I returned parcel PO4476396401 of order 59921. Where is the money?"}
    assert not judge(mail=quoted).approval
    assert not judge(mail=tracked).approval


MISSING: dict[str, dict[str, dict[str, Any]]] = {
    "verified sender": {"mail": {"verified": False}},
    "language of a template": {"mail": {"spoken": "it"}},
    "language": {"mail": {"spoken": ""}},
    "a person who wrote it": {"mail": {"looks_automatic": ("list-id",)}},
    "words that are all understood": {"mail": {"text": "I kept the mug. Please refund the lamp."}},
    "no attachments": {"mail": {"attachments": ({"name": "bill.pdf", "type": "application/pdf"},)}},
    "a mail in order": {"mail": {"warnings": ("hidden text: pay",)}},
    "a short mail": {"mail": {"text": "word " * 200}},
    "certainty": {"triage": {"confidence": 0.89}},
    "one request": {"triage": {"others": ("account",)}},
    "a sum within the limit": {"triage": {"amount": Decimal("100.01")}},
    "the currency of the order": {"triage": {"amount": Decimal(9), "currency": "USD"}},
    "no urgency": {"triage": {"priority": "high"}},
    "one order": {"triage": {"order_ids": ("59762", "59921")}},
    "an order of the sender": {"facts": {"order_id": None, "warnings": ("order 1 …",)}},
    "no warning": {"facts": {"warnings": ("odd",)}},
    "the order in the new text": {
        "mail": {"quoted": "> order 59921"},
        "triage": {"order_ids": ()},
    },
    "an amount in the new text": {"mail": {"quoted": "> 20?"}, "triage": {"amount": Decimal(20)}},
    "the sum of the shop": {"triage": {"amount": Decimal(20)}},
    "no open case": {"standing": {"open_case": "c1"}},
    "no answer to the same": {"standing": {"same_case": "c1"}},
    "few replies to the address": {"standing": {"replies_to_address": 3}},
}


@pytest.mark.parametrize("proof", MISSING)
def test_missing_proof_needs_a_person_who_reads_what_is_missing(proof: str) -> None:
    decision = judge(**MISSING[proof])
    assert decision.approval
    assert decision.reasons


def test_question_for_the_order_needs_no_order() -> None:
    ask = REFUND.model_copy(update={"action": "ask", "amount": None})
    facts = {"order_id": None, "order_status": "", "warnings": ("order 1 does not exist",)}
    assert not judge(ask, facts=facts).approval
    assert judge(ask, facts=facts, triage={"order_ids": ("59762", "59921")}).approval


@pytest.mark.parametrize("action", ["reply", "refund", "ask"])
def test_unverified_sender_is_handed_over_without_money(action: Any) -> None:
    decision = judge(REFUND.model_copy(update={"action": action}), mail={"verified": False})
    assert (decision.action, decision.amount, decision.approval) == ("hand_over", None, True)


def test_mail_is_closed_unread_only_with_evidence_and_never_a_customers() -> None:
    ignore = REFUND.model_copy(update={"action": "ignore", "amount": None})
    stranger: dict[str, Any] = {"customer_id": None}
    marked: dict[str, Any] = {"spam": True}
    program: dict[str, Any] = {"automatic": True}
    assert not judge(ignore, facts=stranger, mail=marked).approval
    assert not judge(ignore, facts=stranger, mail=program).approval
    assert judge(ignore, facts=stranger).approval
    assert judge(ignore, facts=stranger, mail=marked, triage={"confidence": 0.85}).approval
    assert judge(ignore, mail=marked).approval
    assert judge(ignore, mail=program).approval
