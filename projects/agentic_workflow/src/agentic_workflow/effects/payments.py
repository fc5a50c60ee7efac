"""Books refunds through your payment provider.

    payments = PaymentReceiver(import_part("my_module:MyBank", "WORKFLOW_PAYMENTS"))
    payments.deliver({"order_id": "10234", "amount": "49.90", "currency": "EUR"}, key, claim)

Your own provider is a class with the method of `Payments`; the README has an example. It must
recognize a repetition by the key, as most do by an idempotency key: after a crash, it is called
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from agentic_workflow.effects.outbox import Claim, key_digest


class Payments(Protocol):
    """A payment provider. Raises Rejected, NotDelivered or Unknown of `outbox.py`."""

    def refund(self, order_id: str, amount: Decimal, currency: str, key: str) -> str:
        """Book a refund once, however often it is called with a key; returns its id."""


class PaymentReceiver:
    """A receiver of the outbox that books refunds."""

    repeatable = True

    def __init__(self, payments: Payments) -> None:
        self._payments = payments

    def deliver(self, payload: Mapping[str, Any], key: str, claim: Claim) -> str:
        """Book one refund; the receipt is its id. Raises as every Receiver does."""
        claim()
        amount = Decimal(payload["amount"])
        order, currency = str(payload["order_id"]), payload["currency"]
        return self._payments.refund(order, amount, currency, key_digest(key))
