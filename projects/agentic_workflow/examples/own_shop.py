"""A shop and a payment provider of one's own, both with an HTTP API.

export WORKFLOW_SHOP=own_shop:MyShop WORKFLOW_PAYMENTS=own_shop:MyPayments
export WORKFLOW_ORDER_PATTERN='SO-[0-9]{5}' MY_SHOP_URL=https://shop.example/api
agentic-workflow serve      # in the folder of this file
"""

import os
from decimal import Decimal
from typing import Any

import httpx

from agentic_workflow.decide.shop import Customer, Order
from agentic_workflow.effects.outbox import NotDelivered, Rejected, Unknown
from seedbed.errors import Unavailable


def call(method: str, path: str, **options: Any) -> httpx.Response:
    return httpx.request(method, os.environ["MY_SHOP_URL"] + path, timeout=10, **options)


class MyShop:
    def customer(self, email: str) -> Customer | None:
        hits = self._find("/customers", email=email)
        return Customer(id=hits[0]["id"], name=hits[0]["name"]) if hits else None

    def order(self, order_id: str) -> Order | None:
        for hit in self._find("/orders", number=order_id.upper()):
            paid, refunded = Decimal(hit["paid"]), Decimal(hit["refunded"])
            amounts = {"total": Decimal(hit["total"]), "refundable": paid - refunded}
            who = {"id": hit["number"], "customer_id": hit["customer"]}
            return Order(**who, **amounts, status=hit["state"], tracking=hit["tracking"])
        return None

    def _find(self, path: str, **query: str) -> list[dict[str, Any]]:
        try:
            hits: list[dict[str, Any]] = call("GET", path, params=query).raise_for_status().json()
        except httpx.HTTPError as error:
            raise Unavailable(f"The shop does not answer: {error}.") from error
        return hits


class MyPayments:
    def refund(self, order_id: str, amount: Decimal, currency: str, key: str) -> str:
        body = {"order": order_id, "amount": str(amount), "currency": currency}
        try:
            answer = call("POST", "/refunds", json=body, headers={"Idempotency-Key": key})
        except httpx.ConnectError as error:
            raise NotDelivered(str(error)) from error  # it did not happen
        except httpx.HTTPError as error:
            raise Unknown(str(error)) from error  # it may have happened
        if answer.is_server_error:
            raise Unknown(answer.text)
        if answer.is_error:
            raise Rejected(answer.text)  # it will never happen
        return str(answer.json()["id"])
