"""Triage without a language model: a classifier finds the category, a pattern the sum.

triager = OfflineTriager(Classifier(load_embeddings()))
triager.triage(mail).category    # "refund"
"""

from __future__ import annotations

import re

from agentic_workflow.case import Mail, Triage
from agentic_workflow.triage.finders import find_amount
from agentic_workflow.triage.offline.classifier import Classifier

_REPLY = re.compile(r"\s*(?:re|aw|antw|fw|fwd|wg|tr|ref|rv|sv)\s*(?:\[\d+\])?:", re.IGNORECASE)
_SHORT = 200  # characters of an answer that means nothing without its thread


class OfflineTriager:
    """Reads English, German, French and Spanish."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def triage(self, mail: Mail) -> Triage:
        """The category and the sum of a mail; `CheckedTriager` adds the other fields."""
        # 1. The category. The subject of a reply belongs to the thread.
        own = mail.text if _REPLY.match(mail.subject) else f"{mail.subject}\n\n{mail.text}".strip()
        odds = self._classifier.probabilities(own)
        category = max(odds, key=lambda category: odds[category])
        confidence, why = odds[category], "classifier"
        is_answer = len(mail.text) < _SHORT and "?" not in mail.text
        offer = find_amount(mail.quoted if is_answer else "")
        if category in ("other", "spam") and offer[2]:
            category, confidence, why = "refund", 0.5, "answers an offer of money"
        # 2. The sum, if it is about money.
        money = category in ("refund", "billing")
        amount, currency, count = find_amount(own if money else "")
        if money and not count:  # a person reads the thread
            amount, currency, count = offer
        return Triage(
            category=category,
            priority="low" if category in ("other", "spam") else "normal",
            amount=amount,
            currency=currency,
            approval_reason="It names several sums" if count > 1 else "",
            confidence=round(confidence, 3),
            reasons=(f"category: {category} ({why})", *([f"amount: {amount}"] if amount else [])),
        )
