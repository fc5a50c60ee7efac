"""Priority, approval, order and amount of a mail, by rules.

    read_fields(mail, "refund").amount    # Decimal("49.90")

What a person has to approve: a legal threat, an account to be deleted, several sums or one in
words. Other sums are compared with the limits of the policy by `decide`. A rule that is unsure
decides for approval: asking a person once too often costs a minute, acting without one may cost a
customer.
"""

from __future__ import annotations

import re

from agentic_workflow.store.case import Category, Mail, Priority, Triage
from agentic_workflow.triage.offline.amounts import Amount, find_amount
from agentic_workflow.triage.offline.orders import find_order
from agentic_workflow.triage.offline.words import clauses, has, matcher, plain, sentences, words

_SHORT = 200  # characters of an answer that means nothing without its thread
_REPLY = re.compile(r"\s*(?:re|aw|antw|fw|fwd|wg|tr|ref|rv|sv)\s*(?:\[\d+\])?:", re.IGNORECASE)
_DELETION = re.compile(
    rf"(?<!\w)(?:{words('delete')}\W+(?:[\w'./-]+\W+){{0,7}}?{words('account')}"
    rf"|{words('account')}\W+(?:[\w'./-]+\W+){{0,9}}?{words('delete')})(?!\w)"
)


def own_text(mail: Mail) -> str:
    """Subject and new text; the subject of a reply belongs to the thread."""
    subject = "" if _REPLY.match(mail.subject) else mail.subject
    return f"{subject}\n\n{mail.text}".strip()


def read_fields(mail: Mail, category: Category) -> Triage:
    """Order, amount, approval and priority of a mail of this category, with the reasons."""
    # 1. Order: the new text, else subject, else thread.
    order_id = find_order(mail.text, mail.subject, mail.quoted)
    if category == "spam":
        return Triage(category=category, priority="low", order_id=order_id)
    text = plain(own_text(mail))
    # 2. Amount: asked for or disputed now.
    amount = _amount(text, mail.quoted, category)
    # 3. Approval, and priority, which a threat or a danger raises in any category.
    threat = _sentence("legal", text)
    causes = {"legal threat": threat, "deletion of the account": _deletion(text)}
    if category in ("refund", "billing"):
        causes["several sums"] = amount.clause if amount and amount.others else ""
        causes["sum in words"] = _sentence("spelled sum", text)
    approval = next((f'{name} ("{why[:80]}")' for name, why in causes.items() if why), "")
    urgent = threat or _sentence("danger", text) or _sentence("misuse", text) or _due_soon(text)
    priority: Priority = "high" if urgent else "low" if category == "other" else "normal"
    reasons = {
        "order": order_id,
        "amount": amount and f'{amount.value} ("{amount.clause[:80]}")',
        "approval": approval,
        "priority": urgent and f'high ("{urgent[:80]}")',
    }
    return Triage(
        category=category,
        priority=priority,
        order_id=order_id,
        amount=amount.value if amount else None,
        currency=amount.currency if amount else None,
        needs_approval=bool(approval),
        approval_reason=approval,
        reasons=tuple(f"{name}: {reason}" for name, reason in reasons.items() if reason),
    )


def answers_an_offer(mail: Mail) -> bool:
    """Whether a short new text answers a thread that names a sum to be paid back."""
    quoted = plain(mail.quoted)
    short = len(mail.text) < _SHORT and "?" not in mail.text
    return short and has("ask back", quoted) and find_amount(quoted, claim=True) is not None


def _amount(text: str, quoted: str, category: Category) -> Amount | None:
    """A sum of the thread counts if a refund names none; a person then reads the thread."""
    text = open_text(text)
    amount = find_amount(text, claim=category in ("refund", "billing"))
    offers = quoted if category == "refund" else ""
    return amount or find_amount(offers, claim=True)


def open_text(text: str) -> str:
    """Plain text without clauses that report or decline a refund: they ask for nothing."""
    parts = clauses(text)
    parts = [p for p in parts if has("not", p) or has("hearsay", p) or not has("past refund", p)]
    # "I want no refund of the postage, I want the 40 euros back": the second half is left.
    rests = [matcher("refuses refund").sub(" ", part) for part in parts]
    pairs = zip(parts, rests, strict=True)
    return "\n\n".join(rest for part, rest in pairs if rest == part or has("ask back", rest))


def _sentence(name: str, text: str) -> str:
    """The first sentence with a word of a list, apart from its harmless meanings."""
    for sentence in sentences(text):
        if has(name, matcher(f"harmless {name}").sub(" ", sentence)):
            return sentence
    return ""


def _deletion(text: str) -> str:
    for sentence in sentences(text):
        if has("forget", sentence) or _DELETION.search(sentence):
            return sentence
    return ""


def _due_soon(text: str) -> str:
    """A clause with tomorrow or a few days, in a mail about something that is due."""
    due = has("deadline", text)
    return next((clause for clause in clauses(text) if due and has("near", clause)), "")
