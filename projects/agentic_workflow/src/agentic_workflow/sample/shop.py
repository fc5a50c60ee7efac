"""The sample shop: an SQLite database in memory, and the class that looks things up in it.

    WORKFLOW_SHOP=agentic_workflow.sample.shop:SampleShop

`shop.sql` has its tables and rows, whose dates count back from the day on which it is loaded. The
desk only reads it; refunds are booked by `payments.py`.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentic_workflow.case import OrderLine
from agentic_workflow.decide.shop import Customer, Order

_CUSTOMER = "SELECT id, name FROM customers WHERE email = ?"
_ORDERS = "SELECT id FROM orders WHERE customer_id = ? ORDER BY ordered_on DESC, id LIMIT 5"
_ORDER = """
SELECT orders.id, status, customer_id, ordered_on, currency,
       total_cents, carrier, tracking, expected_on, delivered_on,
       SUM(kind = 'charge') AS charges,
       SUM(CASE kind WHEN 'charge' THEN amount_cents ELSE -amount_cents END) AS refundable_cents
FROM orders
LEFT JOIN shipments ON shipments.order_id = orders.id
LEFT JOIN payments ON payments.order_id = orders.id
WHERE orders.id = ? GROUP BY orders.id
"""
_LINES = "SELECT name, quantity, price_cents FROM order_lines WHERE order_id = ? ORDER BY position"


class SampleShop:
    """A `decide.shop.Shop`, which workers may call from several threads.

    >>> SampleShop().order("59688").status
    'delivered'
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        self._database.executescript(Path(__file__).with_name("shop.sql").read_text("utf-8"))

    def customer(self, email: str) -> Customer | None:
        """The customer with an address."""
        for row in self._rows(_CUSTOMER, email):
            orders = tuple(order["id"] for order in self._rows(_ORDERS, row["id"]))
            return Customer(**row, recent_orders=orders)
        return None

    def order(self, order_id: str) -> Order | None:
        """The order with an id."""
        for row in self._rows(_ORDER, order_id):
            total, left = _euros(row["total_cents"]), _euros(row["refundable_cents"])
            lines = [
                OrderLine(**line, price=_euros(line["price_cents"]))
                for line in self._rows(_LINES, order_id)
            ]
            values = {name: value for name, value in row.items() if value is not None}
            return Order(**values, total=total, refundable=max(left, Decimal(0)), lines=lines)
        return None

    def _rows(self, query: str, key: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self._database.execute(query, (key,))]


def _euros(cents: int | None) -> Decimal:
    return Decimal(cents or 0).scaleb(-2)
