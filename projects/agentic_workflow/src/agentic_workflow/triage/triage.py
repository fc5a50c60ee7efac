"""Triage: what a mail asks for.

    triager = Triager(Classifier(load_embeddings()))
    triager.triage(mail, screening).category    # "refund"

Rules read order, amount, approval and priority. A classifier finds the category, in which the
signals of the rules count too; where it is unsure, a language model is asked as well, if one is
configured. Looking up facts and deciding what to do is left to `decide`.
"""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path

from langchain_core.language_models import BaseChatModel

from agentic_workflow.store.case import Category, Mail, Screening, Triage
from agentic_workflow.triage.classifier import Classifier
from agentic_workflow.triage.fields import (
    Signals,
    asks_money,
    open_text,
    own_text,
    read_fields,
    read_signals,
)
from agentic_workflow.triage.orders import find_order
from agentic_workflow.triage.reader import find_reader
from agentic_workflow.triage.words import has, plain

_UNSURE = 0.7  # below this confidence a language model is asked: 15 % of mails, most errors
_TRUST = 2.0  # weight of the model's category, against 1 for the classifier, in the confidence
_SENTENCE, _MIN_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n\s*\n"), 25  # characters
_CLEAR, _MAX_CHARS = 0.6, 2000  # of the mail; a longer one goes to a person anyway
_BOOSTS: dict[str, dict[Category, float]] = tomllib.loads(
    Path(__file__).with_name("boosts.toml").read_text("utf-8")
)


class Triager:
    """Finds a mail's fields; `model`, unless the default one, is asked where words leave doubt."""

    def __init__(self, classifier: Classifier, model: BaseChatModel | None = None) -> None:
        self._classifier, self._reader = classifier, find_reader(model)

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
        others = () if category == "spam" else self._others(mail, category)
        update: dict[str, object] = {"others": others}
        update |= {"confidence": round(confidence, 3), "reasons": reasons, "model": model}
        return triage.model_copy(update=update)

    def _others(self, mail: Mail, category: Category) -> tuple[Category, ...]:
        """Categories of single sentences that are not that of the mail."""
        others = set[Category]()
        parts = [p for p in _SENTENCE.split(mail.text[:_MAX_CHARS]) if len(p) > _MIN_SENTENCE]
        for part in parts if len(parts) > 1 else []:
            alone = mail.model_copy(update={"subject": "", "text": part})
            odds = self._classifier.probabilities(alone, read_signals(alone))
            others |= {name for name, value in odds.items() if value > _CLEAR}
        return tuple(sorted(others - {category, "other"}))

    def _category(
        self, mail: Mail, screening: Screening, signals: Signals
    ) -> tuple[Category, float, str]:
        """Category, confidence and the reason, without the language model."""
        if screening.spam:
            return "spam", 1.0, "; ".join(screening.reasons) or "screening"
        if not own_text(mail) or (mail.automatic and has("away", plain(own_text(mail)))):
            return "other", 1.0, "empty mail or automatic reply"
        odds = self._classifier.probabilities(mail, signals)
        # A refund is money asked back; who names an order, and wants no password, is a customer.
        text, back = open_text(mail), bool(signals.claim or signals.accepted)
        back = back or asks_money(text)
        known = not signals.scam and find_order(mail.text, mail.subject, mail.quoted)
        names = (*signals.names, *(["order"] * bool(known)), *(["no money"] * (not back)))
        for name in names:
            for category, factor in _BOOSTS[name].items():
                odds[category] *= factor
        best = max(odds, key=lambda category: odds[category])
        why = ", ".join(["classifier", *names])
        return best, odds[best] / math.fsum(odds.values()), why
