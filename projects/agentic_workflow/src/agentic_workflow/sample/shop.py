"""The sample shop: an SQLite database in the data folder, and the class that looks things up in it.

    WORKFLOW_SHOP=agentic_workflow.sample.shop:SampleShop

`shop.sql` has its tables and rows, whose dates count back from the day on which it is created. The
desk only reads the database; refunds are booked by `payments.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentic_workflow.case import OrderLine
from agentic_workflow.config import Config
from agentic_workflow.decide.shop import Customer, Order
from seedbed.errors import Unavailable
from seedbed.files import write_bytes
from seedbed.settings import load

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


def ensure_shop(folder: Path) -> Path:
    """The path of the shop's database, which is created in one step if it does not exist.

    >>> shop = sqlite3.connect(ensure_shop(Path()))
    >>> shop.execute("SELECT status, total_cents FROM orders WHERE id = '59688'").fetchone()
    ('delivered', 2340)
    """
    path = folder / "shop.sqlite"
    if not path.exists():
        with closing(sqlite3.connect(":memory:")) as shop:
            shop.executescript(Path(__file__).with_name("shop.sql").read_text("utf-8"))
            write_bytes(path, shop.serialize())
    return path


class SampleShop:
    """A `decide.shop.Shop` over the database in a folder, by default the data folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (folder or load(Config).data_dir).absolute() / "shop.sqlite"

    def customer(self, email: str) -> Customer | None:
        """The customer with an address."""
        with self._rows() as rows:
            for row in rows(_CUSTOMER, email):
                orders = tuple(order["id"] for order in rows(_ORDERS, row["id"]))
                return Customer(**row, recent_orders=orders)
        return None

    def order(self, order_id: str) -> Order | None:
        """The order with an id."""
        with self._rows() as rows:
            for row in rows(_ORDER, order_id):
                total, left = _euros(row["total_cents"]), _euros(row["refundable_cents"])
                lines = [
                    OrderLine(**line, price=_euros(line["price_cents"]))
                    for line in rows(_LINES, order_id)
                ]
                values = {name: value for name, value in row.items() if value is not None}
                return Order(**values, total=total, refundable=max(left, Decimal(0)), lines=lines)
        return None

    @contextmanager
    def _rows(self) -> Iterator[Any]:
        try:
            # In a mode in which SQLite refuses to write.
            connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)
            connection.row_factory = sqlite3.Row
            with closing(connection):
                yield lambda query, key: [dict(row) for row in connection.execute(query, (key,))]
        except sqlite3.Error as error:
            raise Unavailable(f"The shop's database cannot be read: {error}.") from error


def _euros(cents: int | None) -> Decimal:
    return Decimal(cents or 0).scaleb(-2)
