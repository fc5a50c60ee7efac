"""Triage: what a mail asks for.

    triager = Triager(load_embeddings())
    triager.triage(mail, screening).category    # "refund"

Rules read order, amount, approval and priority. A classifier finds the category, in which the
signals of the rules count too; where it is unsure, a language model is asked as well, if one is
configured. Looking up facts and deciding what to do is left to `decide`.
"""

from __future__ import annotations

import math
from functools import cached_property

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel

from agentic_workflow.store.case import Category, Mail, Screening, Triage
from agentic_workflow.triage.classifier import Classifier
from agentic_workflow.triage.fields import Signals, own_text, read_fields, read_signals
from agentic_workflow.triage.reader import find_reader
from agentic_workflow.triage.words import has, plain

_UNSURE = 0.7
"""Confidence below which a language model is asked: some 15 % of mails, with most errors."""
_TRUST = 2.0
"""Weight of the model's category, against 1 for the classifier, in the confidence."""
_BOOSTS: dict[str, dict[Category, float]] = {
    # By how much a signal multiplies a category's odds, by the definitions of the categories. The
    # classifier still has a say, because a signal may be misread.
    "deletion": {"account": 20.0},
    "misuse": {"account": 8.0},
    "legal": {"complaint": 3.0, "other": 0.2, "spam": 0.1},
    "danger": {"other": 0.05, "spam": 0.2},
    "twice": {"billing": 8.0},
    "unasked": {"billing": 4.0},
    "accepted": {"refund": 50.0, "other": 0.05, "complaint": 0.2},
    "refused": {"refund": 0.2},
    "claim": {"refund": 2.0, "billing": 2.0, "other": 0.5},
    "scam": {"spam": 30.0},
    "praise": {"other": 10.0, "shipping": 0.2},
    "goods": {"refund": 3.0},
}


class Triager:
    """Finds a mail's category, priority, order, amount and whether a person has to approve.

    `model` is asked only where the classifier is unsure; the default model never is, because it
    made the results worse.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        model: BaseChatModel | None = None,
        classifier: Classifier | None = None,
    ) -> None:
        self._embeddings, self._own_classifier = embeddings, classifier
        self._reader = find_reader(model)

    @cached_property
    def _classifier(self) -> Classifier:
        return self._own_classifier or Classifier(self._embeddings)

    def triage(self, mail: Mail, screening: Screening) -> Triage:
        """All fields of a mail, with the words that decided each; never raises for odd mails."""
        # 1. What the words express for certain.
        signals = read_signals(mail)
        # 2. The category: screening, classifier, and the model where these are unsure.
        category, confidence, why = self._category(mail, screening, signals)
        model = ""
        if self._reader and confidence < _UNSURE and (reading := self._reader.read(own_text(mail))):
            model = self._reader.name
            confidence = (_TRUST + confidence * (reading == category)) / (_TRUST + 1)
            category, why = reading, f"{model}; classifier: {category}"
        # 3. The other fields, by rules.
        triage = read_fields(mail, category, signals)
        reasons = (f"category: {category} ({why})", *triage.reasons)
        return triage.model_copy(
            update={"confidence": round(confidence, 3), "reasons": reasons, "model": model}
        )

    def _category(
        self, mail: Mail, screening: Screening, signals: Signals
    ) -> tuple[Category, float, str]:
        """Category, confidence and the reason, without the language model."""
        if screening.spam:
            return "spam", 1.0, "; ".join(screening.reasons) or "screening"
        if not own_text(mail):
            return "other", 1.0, "empty mail"
        if mail.automatic and has("away", plain(own_text(mail))):
            return "other", 1.0, "automatic reply"
        odds = self._classifier.probabilities(mail, signals)
        for name in signals.names:
            for category, factor in _BOOSTS[name].items():
                odds[category] *= factor
        best = max(odds, key=lambda category: odds[category])
        return (
            best,
            odds[best] / math.fsum(odds.values()),
            ", ".join(["classifier", *signals.names]),
        )
