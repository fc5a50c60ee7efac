"""Triage by a language model: one structured call, whose evidence is checked against the mail.

    ModelTriager(load_chat_model("openai:gpt-4o-mini")).triage(mail).category

If a quote is not in the mail, the model is asked once more; then the reply is refused. An order or
a sum that is not in its quote is dropped. Whatever fails, the mail goes to a person. Urgency is not
left to the model: `finders.py` reads the mail too.
"""

from __future__ import annotations

import logging
import math
import re
import unicodedata
from decimal import Decimal
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel

from agentic_workflow.case import Category, Mail, Priority, Triage
from agentic_workflow.mail.numbers import number_value
from agentic_workflow.triage.triager import unread
from seedbed.errors import public_message
from seedbed.models.prompts import as_data, load_prompt
from seedbed.models.structured_reply import structured_reply
from seedbed.observe.telemetry import UsageCallback

log = logging.getLogger(__name__)
_MAX_CHARS = 8000  # of the mail, and of the earlier messages
_MAX_REASON = 300  # characters
_SECONDS = 30.0  # for each of two attempts
_NUMBER = re.compile(r"\d+(?:[.,' \u00a0\u202f]\d+)*")


class Reading(BaseModel):
    """The schema of the model's reply. No field has a default: OpenAI refuses them."""

    category: Category
    category_quote: str
    confidence: float
    others: list[Category]
    priority: Priority
    order_number: str | None
    order_quote: str
    amount: float | None
    currency: str | None
    amount_quote: str
    needs_person: bool
    person_reason: str


class ModelTriager:
    """Asks `model`, at most twice for 30 seconds each."""

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model
        self._name = str(getattr(model, "model_name", "") or type(model).__name__)
        self._prompt = load_prompt("agentic_workflow.triage.by_model", "triage")

    def triage(self, mail: Mail) -> Triage:
        """All fields of a mail, with the sentence that decided each."""
        if mail.injection:
            return unread(f"The mail tries to instruct a model: {mail.injection}")
        usage = UsageCallback()
        try:
            # 1. Ask, and check the quotes.
            reading = structured_reply(
                self._model,
                self._render(mail),
                Reading,
                check=lambda reading: _problem(reading, mail),
                config={"callbacks": [usage]},
                timeout=_SECONDS,
            )
            # 2. Keep the values that their quotes contain.
            triage = _to_triage(reading)
        except Exception as error:  # each vendor's client raises its own types
            cause = " ".join(public_message(error, log).split())[:_MAX_REASON].rstrip(".")
            triage = unread(f"The model could not read the mail: {cause}")
        spent = {"tokens": usage.tokens, "cost_usd": usage.cost_usd or 0.0}
        return triage.model_copy(update={"model": self._name, **spent})

    def _render(self, mail: Mail) -> str:
        thread = as_data(mail.quoted[:_MAX_CHARS], "earlier messages") if mail.quoted else ""
        return self._prompt.render(
            sent=f"{mail.sent_at:%A, %Y-%m-%d}" if mail.sent_at else "an unknown day",
            mail=as_data(f"Subject: {mail.subject}\n\n{mail.text}"[:_MAX_CHARS], "mail"),
            thread=thread,
        )


def _problem(reading: Reading, mail: Mail) -> str | None:
    """A missing quote, one that is not in the mail, or an invalid number; None if all is well."""
    source = _flat(f"{mail.subject}\n{mail.text}\n{re.sub(r'(?m)^[> ]+', '', mail.quoted)}")
    quotes = {
        "category_quote": (reading.category_quote, True),
        "order_quote": (reading.order_quote, bool(reading.order_number)),
        "amount_quote": (reading.amount_quote, reading.amount is not None),
    }
    for name, (text, required) in quotes.items():
        if required and not text.strip():
            return f"{name} is empty"
        if _flat(text) not in source:
            return f"{name} is not in the mail: {text[:200]!r}"
    if not 0 <= reading.confidence <= 1:
        return f"confidence is {reading.confidence}, not between 0 and 1"
    if reading.amount is not None and not (math.isfinite(reading.amount) and reading.amount > 0):
        return f"amount is {reading.amount}, not a sum of money"
    return None


def _to_triage(reading: Reading) -> Triage:
    """The fields of a checked reply; what its evidence does not contain needs a person."""
    amount = Decimal(str(reading.amount)) if reading.amount is not None else None
    order = reading.order_number or ""
    doubts = (
        [reading.person_reason or "The model asks for a person"] if reading.needs_person else []
    )
    if f" {_flat(order)} " not in f" {_flat(reading.order_quote)} ":
        doubts.append(f"The order {order} is not in its quote")
        order = ""
    if amount is not None and amount not in map(
        number_value, _NUMBER.findall(reading.amount_quote)
    ):
        doubts.append(f"The sum {amount} is not in its quote")
        amount = None
    evidence: list[tuple[str, Any, str]] = [
        ("category", reading.category, reading.category_quote),
        ("order", order, reading.order_quote),
        ("amount", amount, reading.amount_quote),
        ("approval", "; ".join(doubts), ""),
    ]
    currency = (reading.currency or "").strip().upper()
    return Triage(
        category=reading.category,
        priority=reading.priority,
        order_id=order or None,
        amount=amount,
        currency=currency if amount is not None and len(currency) == 3 else None,
        approval_reason="; ".join(doubts)[:400],
        confidence=round(reading.confidence, 3),
        others=tuple(sorted({*reading.others} - {reading.category})),
        reasons=tuple(
            f'{name}: {value} ("{text[:80]}")' if text else f"{name}: {value}"
            for name, value, text in evidence
            if value
        ),
    )


def _flat(text: str) -> str:
    """The letters and digits of a text, so that line breaks and quotation marks do not matter."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))
