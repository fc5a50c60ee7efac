"""Books refunds, through the payment API of the sample's form or your own provider.

    payments = PaymentReceiver(open_payments("http://127.0.0.1:8006"))     # or "my_module:MyBank"
    payments.deliver({"order_id": "10234", "amount": "49.90", "currency": "EUR"}, key, claim)

Your own provider is a class with the two methods of `Payments`; the README has an example. It must
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
    """A payment provider. Its methods raise Rejected, NotDelivered or Unknown of `outbox.py`."""

    def refund(self, order_id: str, amount: Decimal, currency: str, key: str) -> str:
        """Book a refund once, however often it is called with a key; returns its id."""

    def release(self, key: str) -> bool:
        """Undo what earlier calls reserved; True if the refund is booked after all."""


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

    def release(self, key: str) -> bool:
        """Undo what is reserved; True if the refund is booked."""
        return self._payments.release(key_digest(key))


class PaymentApi:
    """An API at a base URL: reserve, book, confirm; release what cannot be booked."""

    def __init__(self, url: str) -> None:
        self._url = url

    def refund(self, order_id: str, amount: Decimal, currency: str, key: str) -> str:
        """Book one refund; the reservation's id is made from the key."""
        order = {"order_id": order_id, "amount": f"{amount:.2f}", "currency": currency}
        # 1. Reserve, so that the sum cannot be refunded twice.
        self._call("PUT", f"/reservations/{key}", key, order)
        # 2. Book, or else release the reservation; if that fails too, a later attempt does both.
        try:
            refund = self._call("POST", "/refunds", key, {"reservation": key})
        except Rejected:
            self.release(key)
            raise
        # 3. Confirm that what was booked is what was asked for.
        if (refund.get("amount"), refund.get("status")) != (order["amount"], "booked"):
            raise Unknown(f"payment API: unexpected answer {refund}")
        return str(refund["id"])

    def release(self, key: str) -> bool:
        """Release the reservation; True if the refund is booked."""
        return bool(self._call("DELETE", f"/reservations/{key}", key).get("status") == "booked")

    def _call(self, method: str, path: str, key: str, body: Any = None) -> dict[str, Any]:
        import httpx

        try:
            # Not through the proxies of the environment, which would see the sums.
            with httpx.Client(base_url=self._url, timeout=SECONDS, trust_env=False) as client:
                headers = {"Idempotency-Key": key}
                response = client.request(method, path, json=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NotDelivered(f"payment API: {error}") from error
        except httpx.HTTPError as error:
            raise Unknown(f"payment API: no answer, {error!r}") from error
        text = f"payment API: {response.status_code} {response.text[:200]}"
        if response.status_code in (408, 425, 429, 503):
            raise NotDelivered(text)
        if response.status_code >= 500:
            raise Unknown(text)
        if response.status_code >= 400:
            raise Rejected(text)
        answer: dict[str, Any] = response.json()
        return answer
