"""Books refunds with the payment API: reserve, book, confirm; release what cannot be booked.

    payments = PaymentReceiver("http://127.0.0.1:8006")
    payments.deliver({"order_id": "10234", "amount": "49.90", "currency": "EUR"}, key, claim)

The API recognizes a repetition by the idempotency key, and the reservation's id is made from it, so
calling again after a crash is safe: `repeatable` is True.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from agentic_workflow.effects.outbox import Claim, NotDelivered, Rejected, Unknown

if TYPE_CHECKING:
    import httpx

SECONDS = 10.0


class PaymentReceiver:
    """A payment API at a base URL."""

    repeatable = True

    def __init__(self, url: str) -> None:
        self._url = url

    def deliver(self, payload: Mapping[str, Any], key: str, claim: Claim) -> str:
        """Book one refund; the receipt is its id. Raises Rejected, NotDelivered or Unknown."""
        claim()
        reservation = _reservation(key)
        # 1. Reserve, so that the sum cannot be spent twice.
        self._call("PUT", f"/reservations/{reservation}", key, dict(payload))
        # 2. Book, or else release the reservation. If that fails too, all is tried again later.
        try:
            refund = self._call("POST", "/refunds", key, {"reservation": reservation})
        except Rejected:
            self.release(key)
            raise
        # 3. Confirm: what is booked is what was asked for.
        if refund.get("amount") != payload["amount"] or refund.get("status") != "booked":
            raise Unknown(f"the payment API booked {refund}")
        return str(refund["id"])

    def release(self, key: str) -> bool:
        """Release the reservation; True if the refund is booked, and so there is nothing to."""
        answer = self._call("DELETE", f"/reservations/{_reservation(key)}", key)
        return bool(answer.get("status") == "booked")

    def _call(self, method: str, path: str, key: str, body: Any = None) -> dict[str, Any]:
        import httpx

        try:
            # Without the proxies of the environment, which could see the sums.
            with httpx.Client(base_url=self._url, timeout=SECONDS, trust_env=False) as client:
                header = {"Idempotency-Key": sha256(key.encode()).hexdigest()[:32]}
                response = client.request(method, path, json=body, headers=header)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NotDelivered(f"payment API unreachable: {error}") from error
        except httpx.HTTPError as error:
            raise Unknown(f"no answer of the payment API: {error!r}") from error
        return _answer(response)


def _reservation(key: str) -> str:
    return sha256(key.encode()).hexdigest()[:20]


def _answer(response: httpx.Response) -> dict[str, Any]:
    text = f"{response.status_code} {response.text[:200]}"
    if response.status_code in (408, 425, 429, 503):
        raise NotDelivered(text)
    if response.status_code >= 500:
        raise Unknown(text)
    if response.status_code >= 400:
        raise Rejected(text)
    answer: dict[str, Any] = response.json()
    return answer
