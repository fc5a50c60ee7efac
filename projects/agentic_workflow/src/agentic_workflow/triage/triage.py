"""Triage: what a mail asks for.

    triager = Triager(load_embeddings())
    triager.triage(mail, screening).category    # "refund"

Rules read order, amount, approval and priority; a classifier finds the category, in which the
signals of the rules count too. Looking up facts and deciding what to do is left to `decide`.
"""

from __future__ import annotations

import math
from functools import cached_property

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from agentic_workflow.store.case import Category, Mail, Screening, Triage
from agentic_workflow.triage.classifier import EXAMPLES, Classifier
from agentic_workflow.triage.fields import Signals, own_text, read_fields, read_signals
from seedbed.settings import Settings, load

# By how much a signal multiplies a category's odds. They follow from the definitions of the
# categories; the classifier still has a say, because a signal may be misread.
_BOOSTS: dict[str, dict[Category, float]] = {
    "deletion": {"account": 20.0},
    "misuse": {"account": 8.0},
    "legal": {"complaint": 3.0, "other": 0.2, "spam": 0.1},
    "danger": {"other": 0.05, "spam": 0.2},
    "twice": {"billing": 8.0},
    "accepted": {"refund": 10.0, "other": 0.2},
    "refused": {"refund": 0.2},
}


class Triager:
    """Finds a mail's category, priority, order, amount and whether a person has to approve."""

    def __init__(self, embeddings: Embeddings, model: BaseChatModel | None = None) -> None:
        self._embeddings = embeddings
        self._model = model

    @cached_property
    def _classifier(self) -> Classifier:
        return Classifier(self._embeddings, EXAMPLES, load(Settings).cache_dir)

    def triage(self, mail: Mail, screening: Screening) -> Triage:
        """All fields of a mail, with the words that decided each; never raises for odd mails."""
        # 1. What the words express for certain.
        signals = read_signals(mail)
        # 2. The category: definitions first, then the classifier.
        category, confidence, reason = self._category(mail, screening, signals)
        # 3. The other fields, by rules.
        fields = read_fields(mail, category, signals)
        amount = fields.amount
        return Triage(
            category=category,
            priority=fields.priority,
            order_id=fields.order_id,
            amount=amount.value if amount else None,
            currency=amount.currency if amount else None,
            needs_approval=fields.needs_approval,
            confidence=round(confidence, 3),
            reasons=(f"category: {category} ({reason})", *fields.reasons),
        )

    def _category(
        self, mail: Mail, screening: Screening, signals: Signals
    ) -> tuple[Category, float, str]:
        if screening.spam:
            return "spam", 1.0, "; ".join(screening.reasons) or "screening"
        if not mail.text.strip() and not own_text(mail):
            return "other", 1.0, "empty mail"
        odds = self._classifier.probabilities(mail, signals)
        for name in signals.names:
            for category, factor in _BOOSTS[name].items():
                odds[category] *= factor
        total = math.fsum(odds.values())
        best = max(odds, key=lambda category: odds[category])
        return best, odds[best] / total, ", ".join(["classifier", *signals.names])
