"""Books refunds with the payment API: reserve, book, confirm; release what cannot be booked.

    payments = PaymentReceiver("http://127.0.0.1:8006")
    payments.deliver({"order_id": "10234", "amount": "49.90", "currency": "EUR"}, key, claim)

The API recognizes a repetition by the idempotency key, and the reservation's id is made from it: to
call again after a crash is safe, so `repeatable` is True.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentic_workflow.effects.outbox import Claim, NotDelivered, Rejected, Unknown, key_digest

SECONDS = 10.0
"""Timeout of a call."""


class PaymentReceiver:
    """A payment API at a base URL."""

    repeatable = True

    def __init__(self, url: str) -> None:
        self._url = url

    def deliver(self, payload: Mapping[str, Any], key: str, claim: Claim) -> str:
        """Book one refund; the receipt is its id. Raises as every Receiver does."""
        claim()
        # 1. Reserve, so that the sum cannot be refunded twice.
        self._call("PUT", f"/reservations/{key_digest(key)}", key, _order(payload))
        # 2. Book, or else release the reservation; if that fails too, a later attempt does both.
        try:
            refund = self._call("POST", "/refunds", key, {"reservation": key_digest(key)})
        except Rejected:
            self.release(key)
            raise
        # 3. Confirm that what was booked is what was asked for.
        if (refund.get("amount"), refund.get("status")) != (payload["amount"], "booked"):
            raise Unknown(f"payment API: unexpected answer {refund}")
        return str(refund["id"])

    def release(self, key: str) -> bool:
        """Release the reservation; True if the refund is booked."""
        answer = self._call("DELETE", f"/reservations/{key_digest(key)}", key)
        return bool(answer.get("status") == "booked")

    def _call(self, method: str, path: str, key: str, body: Any = None) -> dict[str, Any]:
        import httpx

        try:
            # Not through the proxies of the environment, which would see the sums.
            with httpx.Client(base_url=self._url, timeout=SECONDS, trust_env=False) as client:
                headers = {"Idempotency-Key": key_digest(key)}
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


def _order(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {name: payload[name] for name in ("order_id", "amount", "currency") if name in payload}
