"""Triage: what a mail asks for. By a model (`by_model/`), or without one (`offline/`).

    triager = open_triager(model, load_embeddings)
    triager.triage(mail).category    # "refund"

Either half is a folder that can be deleted. Looking up facts and deciding what to do is left to
`decide`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agentic_workflow.case import Mail, Triage
from agentic_workflow.triage.finders import ORDERS, compile_orders, find_orders, find_urgent
from seedbed.errors import ConfigError
from seedbed.models.weights import catalog

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel


class Triager(Protocol):
    """Reads a mail; for one that it cannot read, the result of `unread`. Never raises."""

    def triage(self, mail: Mail) -> Triage:
        """All fields of a mail, with the words that decided each."""


class CheckedTriager:
    """Checks another triager: its order must match a pattern, and urgent words are not overlooked.

    Spam, automatic mails and mails without text are not read. Danger and legal threats are not left
    to a model alone. Raises ConfigError if the pattern is not valid.
    """

    def __init__(self, triager: Triager, orders: str = ORDERS) -> None:
        self._triager = triager
        self._orders = compile_orders(orders)

    def triage(self, mail: Mail) -> Triage:
        """The triage, with the order of the new text, or else of the quoted thread."""
        triage = _without_reading(mail) or self._triager.triage(mail)
        # 1. The order: that of the triager if it has the form, else the one after "order".
        places = [
            find_orders(text, self._orders) for text in (mail.text, mail.subject, mail.quoted)
        ]
        orders = [order for place in places for order, _ in place]
        named = [order for place in places for order, is_named in place if is_named]
        candidates = [id.upper() for id, _ in find_orders(triage.order_id or "", self._orders)]
        guess = [id for id in orders if id.upper() in candidates]
        own = {order.upper() for place in places[:2] for order, _ in place}
        order_id = next(iter([*guess, *named, *orders]), None)
        changes: dict[str, object] = {"order_id": order_id, "order_ids": tuple(sorted(own))}
        reasons = list(triage.reasons)
        if order_id and not guess:
            reasons.append(f"order: {order_id}")
        # 2. Urgency, whatever priority the triager returned.
        word = "" if triage.category == "spam" else find_urgent(f"{mail.subject}\n{mail.text}")
        if word:
            reasons.append(f'priority: high ("{word}")')
            reason = triage.approval_reason or f"It may be urgent: {word}"
            changes |= {"priority": "high", "approval_reason": reason}
        return triage.model_copy(update={**changes, "reasons": tuple(reasons)})


def open_triager(
    model: BaseChatModel | None,
    load_embeddings: Callable[[], Embeddings],
    *,
    examples: Path | None = None,
    orders: str = "",
) -> Triager:
    """The triager for `model`; without a model, or in a copy without `by_model/`, the offline one.

    Only the offline one loads embeddings and learns from `examples` (default: the shipped ones).
    `orders` is a pattern. Raises ConfigError if it is not valid, or without either half.
    """
    if model is not None and _exists("by_model"):
        from agentic_workflow.triage.by_model.model_triager import ModelTriager

        return CheckedTriager(ModelTriager(model), orders or ORDERS)
    if not _exists("offline"):
        hint = "Set SEEDBED_MODEL, e.g. openai:gpt-4o-mini."
        raise ConfigError("No model that can read mails.", hint=hint)
    from agentic_workflow.triage.offline.classifier import EXAMPLES, Classifier
    from agentic_workflow.triage.offline.offline_triager import OfflineTriager

    classifier = Classifier(load_embeddings(), examples or EXAMPLES)
    return CheckedTriager(OfflineTriager(classifier), orders or ORDERS)


def follows_instructions(spec: str) -> bool:
    """Whether a model can read and write mails; small ones and those trained for one job cannot."""
    entry = catalog.find(spec)
    return entry.answer_mode == "write" if entry else not spec.startswith("path:")


def unread(reason: str) -> Triage:
    """The triage of a mail that a person has to read; `reason` says why."""
    return Triage(category="other", confidence=0.0, approval_reason=reason)


def _without_reading(mail: Mail) -> Triage | None:
    """The triage of spam, automatic mails and mails without text."""
    if mail.spam:
        reasons = ("category: spam (marked by the mail server)",)
        return Triage(category="spam", priority="low", reasons=reasons)
    if mail.automatic:
        return Triage(category="other", priority="low", reasons=("category: automatic mail",))
    if not mail.subject.strip() and not mail.text.strip():
        return Triage(category="other", priority="low", reasons=("category: other (empty mail)",))
    return None


def _exists(half: str) -> bool:
    return importlib.util.find_spec(f"agentic_workflow.triage.{half}") is not None
