"""What must be proven before the desk acts without a person.

    decision = policy.decide(mail, triage, facts)
    decision = require_proof(decision, mail, triage, facts, policy.alone)

Patterns find only what their author has thought of. So this is a list of what has to be certain; a
case that lacks one of these goes to a person, who reads what is missing. The limits are in the
policy file. The policy's rules and safeguards apply first, and may require a person anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agentic_workflow.case import Category, Decision, Facts, Mail, Standing, Triage
from agentic_workflow.decide.vocabulary import vocabulary_doubts

Proven = dict[str, object]  # each reason for a person, and whether the opposite is proven
Understand = Callable[[Mail, Category, Collection[str]], list[str]]


class Alone(BaseModel):
    """The table `alone` of the policy file: limits of what is done without a person."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    confidence: Annotated[float, Field(strict=False, ge=0.5, le=1)] = 0.9
    max_chars: Annotated[int, Field(ge=1, le=5000)] = 600
    max_amount: Annotated[Decimal, Field(strict=False, ge=0, allow_inf_nan=False)] = Decimal(100)
    replies_per_address: Annotated[int, Field(ge=0, le=20)] = 3


def require_proof(
    decision: Decision,
    mail: Mail,
    triage: Triage,
    facts: Facts,
    terms: Alone,
    standing: Standing = Standing(),  # noqa: B008 - immutable
    understand: Understand = vocabulary_doubts,
) -> Decision:
    """The decision, left to a person with the reasons unless everything is proven.

    `understand` returns why a mail is not understood completely; see `vocabulary.py`.

    Without verification a sender gets no refund and no reply about an order, even with approval.
    """
    if decision.action == "ignore":
        proven, reasons = _prove_silence(mail, triage, facts, terms), list[str]()
    else:
        proven = _prove_mail(mail, triage, terms)
        proven |= _prove_request(decision, mail, triage, facts, terms)
        proven |= _prove_sender(standing, terms)
        reasons = understand(mail, triage.category, _numbers_of(decision, triage, facts))
    reasons = [*(reason for reason, holds in proven.items() if not holds), *reasons]
    if triage.changed_by:
        reasons.append(f"{triage.changed_by} changed the request.")
    change = dict[str, object]()
    if reasons:
        change = {"approval": True, "reasons": (*decision.reasons, *reasons)}
    if not mail.verified and decision.action in ("reply", "refund", "ask"):
        change |= {"action": "hand_over", "amount": None}
    return decision.model_copy(update=change)


def _numbers_of(decision: Decision, triage: Triage, facts: Facts) -> set[str]:
    """The numbers that belong to the order, and the sums that belong to the decision."""
    orders = {str(id).lower() for id in (facts.order_id, triage.order_id) if id}
    sums = {f"{sum:.2f}" for sum in (decision.amount, facts.total) if sum is not None}
    return orders | sums | {facts.tracking.lower()} - {""}


def _prove_silence(mail: Mail, triage: Triage, facts: Facts, terms: Alone) -> Proven:
    """Whether the mail may be closed unread: proven to be a program's, or certain spam."""
    return {
        "A customer's mail is not closed unread.": facts.customer_id is None,
        f"{triage.confidence:.0%} sure that it is spam.": (
            mail.automatic or triage.confidence >= terms.confidence
        ),
        "Only a person or the mail server can tell that it is spam.": (mail.automatic or mail.spam),
    }


def _prove_mail(mail: Mail, triage: Triage, terms: Alone) -> Proven:
    """Who wrote it, in which form, and whether it is understood."""
    return {
        "The mail server has not verified the sender.": mail.verified,
        f"There are no templates for its language ({mail.spoken or 'unknown'}).": (
            mail.spoken == mail.language
        ),
        f"It may come from a program or a list ({', '.join(mail.looks_automatic)}).": (
            not mail.looks_automatic
        ),
        "It has attachments.": not mail.attachments,
        f"It is not in order: {', '.join(mail.warnings)[:200]}.": not mail.warnings,
        f"It has more than {terms.max_chars} characters.": len(mail.text) <= terms.max_chars,
        f"{triage.confidence:.0%} sure of the category.": triage.confidence >= terms.confidence,
        f"It may ask for more than one thing: {', '.join(triage.others)}.": not triage.others,
        "It is urgent.": triage.priority != "high",
    }


def _prove_request(
    decision: Decision, mail: Mail, triage: Triage, facts: Facts, terms: Alone
) -> Proven:
    """Whether the order and the amount are certain."""
    numbers = set(triage.order_ids)
    from_thread = triage.order_id and triage.order_id.upper() not in numbers
    is_found = facts.order_id is not None
    # A refund is all that is left of the order, or what was paid twice.
    whole, billing = (facts.refundable or 0) - facts.refunded, triage.category == "billing"
    # A letter that asks for the order may be sent without it, and one about an error needs none.
    needs_order = decision.action == "refund" or facts.order_status
    return {
        "It contains more than one number that may be an order's.": (
            numbers <= {str(facts.order_id).upper()} if is_found else len(numbers) <= 1
        ),
        "The order was not found under the sender.": is_found or not needs_order,
        "Order or amount depend on the quoted thread.": not (
            mail.quoted and (from_thread or triage.amount is not None)
        ),
        "The lookup has a warning.": decision.action == "ask" or not facts.warnings,
        f"The amount is {triage.amount}; the limit is {terms.max_amount}.": (
            triage.amount is None or triage.amount <= terms.max_amount
        ),
        f"The amount is in {triage.currency}, not in {facts.currency}.": (
            triage.currency in (None, facts.currency)
        ),
        "The mail asks for another sum than the shop's data give.": (
            decision.action != "refund"
            or (triage.amount in (None, decision.amount) and (billing or decision.amount == whole))
        ),
    }


def _prove_sender(standing: Standing, terms: Alone) -> Proven:
    """Whether the sender has other cases, or is a machine that answers every reply."""
    return {
        f"Case {standing.open_case} of the sender is open.": not standing.open_case,
        f"The sender wrote the same in case {standing.same_case}.": not standing.same_case,
        f"{standing.replies_to_address} automatic replies went to the sender today.": (
            standing.replies_to_address < terms.replies_per_address
        ),
    }
