"""Triage without a language model: a classifier finds the category, rules find the rest.

triager = OfflineTriager(Classifier(load_embeddings()))
triager.triage(mail, screening).category    # "refund"

Where the classifier is not sure, a small model that was trained to sort mails may be asked.
"""

from __future__ import annotations

import re

from agentic_workflow.store.case import Category, Mail, Screening, Triage
from agentic_workflow.triage.offline.classifier import Classifier
from agentic_workflow.triage.offline.fields import (
    answers_an_offer,
    open_text,
    own_text,
    read_fields,
)
from agentic_workflow.triage.offline.sorter import SURE, Sorter
from agentic_workflow.triage.offline.words import plain
from agentic_workflow.triage.triager import without_reading

_SENTENCE, _MIN_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n\s*\n"), 25  # characters
_CLEAR, _MAX_CHARS = 0.8, 2000  # of the mail; a longer one goes to a person anyway


class OfflineTriager:
    """Reads English, German, French and Spanish; with `sorter`, its category for unsure ones."""

    paid = False

    def __init__(self, classifier: Classifier, sorter: Sorter | None = None) -> None:
        self._classifier, self._sorter = classifier, sorter

    def triage(self, mail: Mail, screening: Screening) -> Triage:
        """All fields of a mail, with the words that decided each."""
        if (triage := without_reading(mail, screening)) is not None:
            return triage
        # 1. The category.
        own = own_text(mail)
        odds = self._classifier.probabilities(open_text(plain(own)) or own)
        category = max(odds, key=lambda category: odds[category])
        confidence, why = odds[category], "classifier"
        if mail.automatic and category != "spam":
            category, confidence, why = "other", 1.0, "automatic mail"
        elif category in ("other", "spam") and answers_an_offer(mail):
            category, confidence, why = "refund", 0.5, "answers an offer of money"
        elif confidence < SURE and self._sorter and (other := self._sorter.category(mail)):
            # Its probability stays the classifier's, so a person still decides.
            category, confidence, why = other, odds[other], "model, as the classifier is not sure"
        # 2. The other fields, by rules.
        triage = read_fields(mail, category)
        # 3. What single sentences ask for besides.
        others = () if category == "spam" else self._others(mail, category)
        reasons = (f"category: {category} ({why})", *triage.reasons)
        update = {"others": others, "confidence": round(confidence, 3), "reasons": reasons}
        return triage.model_copy(update=update)

    def _others(self, mail: Mail, category: Category) -> tuple[Category, ...]:
        others = set[Category]()
        parts = [p for p in _SENTENCE.split(mail.text[:_MAX_CHARS]) if len(p) > _MIN_SENTENCE]
        for part in parts if len(parts) > 1 else []:
            odds = self._classifier.probabilities(part)
            others |= {name for name, value in odds.items() if value > _CLEAR}
        # A complaint asks for nothing else, and the shop's data give the sum of a refund or charge.
        money = {"refund", "billing"} if category in ("refund", "billing") else set()
        return tuple(sorted(others - {category, "other", "complaint"} - money))
