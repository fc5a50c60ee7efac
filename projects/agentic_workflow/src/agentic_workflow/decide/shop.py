"""Looks up the sender and the order of a mail in your shop.

    shop = import_part("my_module:MyShop", "WORKFLOW_SHOP")
    look_up(shop, mail.sender, "59641").order_status   # "delivered"

Your own shop is a class with the two methods of `Shop`; the README has an example. If the order
belongs to another customer, the facts contain only a warning for the staff.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, Protocol

from agentic_workflow.case import Facts, OrderLine, Value

OrderStatus = Literal["paid", "shipped", "delivered", "cancelled", "returned"]
FOREIGN_ORDER = "belongs to another customer"  # the end of the warning about such an order


class Customer(Value):
    id: str
    name: str = ""
    recent_orders: tuple[str, ...] = ()  # ids, the latest first


class Order(Value):
    """An order as it stands now."""

    id: str
    customer_id: str
    status: OrderStatus
    ordered_on: str = ""  # ISO dates
    delivered_on: str = ""
    expected_on: str = ""
    carrier: str = ""
    tracking: str = ""
    total: Decimal
    refundable: Decimal  # paid minus refunded
    currency: str = "EUR"
    charges: int = 1  # number of payments; 2 is a double charge
    lines: tuple[OrderLine, ...] = ()


class Shop(Protocol):
    """Where customers and orders are. A method raises Unavailable if the shop does not answer."""

    def customer(self, email: str) -> Customer | None:
        """The customer with an address, which is in lower case."""

    def order(self, order_id: str) -> Order | None:
        """The order with an id as a mail has it; `Order.id` is as the shop writes it."""


def look_up(shop: Shop, sender: str, order_id: str | None) -> Facts:
    """The facts about the sender and the order; another customer's order is only a warning."""
    customer = shop.customer(sender.lower()) if sender else None
    order = shop.order(order_id) if order_id else None
    values: dict[str, Any] = {}
    if customer:
        values = {"customer_id": customer.id, "customer_name": customer.name}
        values["recent_orders"] = customer.recent_orders
    if order is None:
        return Facts(**values, warnings=(f"order {order_id} does not exist",) if order_id else ())
    if customer is None or order.customer_id != customer.id:
        return Facts(**values, warnings=(f"order {order_id} {FOREIGN_ORDER}",))
    own = order.model_dump(exclude={"id", "customer_id", "status"})
    return Facts(**values, **own, order_id=order.id, order_status=order.status)
