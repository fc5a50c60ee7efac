"""Books refunds, through the payment API of the sample's form or your own provider.

    payments = PaymentReceiver(open_payments("http://127.0.0.1:8006"))     # or "my_module:MyBank"
    payments.deliver({"order_id": "10234", "amount": "49.90", "currency": "EUR"}, key, claim)

Your own provider is a class with the method of `Payments`; the README has an example. It must
recognize a repetition by the key, as most do by an idempotency key: after a crash, it is called
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from agentic_workflow.config import import_part
from agentic_workflow.effects.outbox import Claim, NotDelivered, Rejected, Unknown, key_digest

SECONDS = 10.0
"""Timeout of a call."""


class Payments(Protocol):
    """A payment provider. Raises Rejected, NotDelivered or Unknown of `outbox.py`."""

    def refund(self, order_id: str, amount: Decimal, currency: str, key: str) -> str:
        """Book a refund once, however often it is called with a key; returns its id."""


def open_payments(spec: str) -> Payments:
    """The provider of WORKFLOW_PAYMENTS: an API's URL, or an object of the class "module:name"."""
    if "://" in spec:
        return PaymentApi(spec)
    payments: Payments = import_part(spec, "WORKFLOW_PAYMENTS")
    return payments


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


class PaymentApi:
    """An API at a base URL: POST /refunds with the header Idempotency-Key."""

    def __init__(self, url: str) -> None:
        self._url = url

    def refund(self, order_id: str, amount: Decimal, currency: str, key: str) -> str:
        """Book one refund; returns its id."""
        import httpx

        body = {"order_id": order_id, "amount": f"{amount:.2f}", "currency": currency}
        try:
            # Not through the proxies of the environment, which would see the sums.
            with httpx.Client(base_url=self._url, timeout=SECONDS, trust_env=False) as client:
                answer = client.post("/refunds", json=body, headers={"Idempotency-Key": key})
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NotDelivered(f"payment API: {error}") from error
        except httpx.HTTPError as error:
            raise Unknown(f"payment API: no answer, {error!r}") from error
        text = f"payment API: {answer.status_code} {answer.text[:200]}"
        if answer.status_code in (408, 425, 429, 503):
            raise NotDelivered(text)
        if answer.status_code >= 500:
            raise Unknown(text)
        if answer.is_error:
            raise Rejected(text)
        refund = answer.json()
        if (refund.get("amount"), refund.get("status")) != (body["amount"], "booked"):
            raise Unknown(f"payment API: unexpected answer {refund}")
        return str(refund["id"])
