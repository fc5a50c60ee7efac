"""Looks up the sender and the order of a mail: in a database of the sample's form, or in your shop.

    shop = open_shop("sqlite:///shop.sqlite")          # or "my_module:MyShop"
    look_up(shop, mail.sender, "59641").order_status   # "delivered"

Your own shop is a class with the two methods of `Shop`; the README has an example. Of an order of
another customer, the facts contain only a warning for the staff.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from agentic_workflow.config import import_part
from agentic_workflow.store.case import Facts, OrderLine, Value
from seedbed.database.sql_engine import sql_engine
from seedbed.errors import Unavailable
from seedbed.safety.secrets import reason

OrderStatus = Literal["paid", "shipped", "delivered", "cancelled", "returned"]
FOREIGN_ORDER = "belongs to another customer"  # the end of the warning about such an order


class Customer(Value):
    """A customer of the shop."""

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
    """What is known about the sender and the order; an order of others is only a warning."""
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


def open_shop(spec: str | Path) -> Shop:
    """The shop of WORKFLOW_SHOP: a database, or an object of the class "module:name"."""
    if isinstance(spec, str) and "://" not in spec:
        shop: Shop = import_part(spec, "WORKFLOW_SHOP")
        return shop
    return ShopDatabase(spec)


# ── a database ──────────────────────────────────────────────────────────────────────────────

_CUSTOMER = "SELECT id, name FROM customers WHERE email = :key"
_ORDERS = "SELECT id FROM orders WHERE customer_id = :key ORDER BY ordered_on DESC, id LIMIT 5"
_ORDER = """
SELECT orders.id, status, customer_id, ordered_on, currency,
       total_cents, carrier, tracking, expected_on, delivered_on,
       SUM(CASE kind WHEN 'charge' THEN 1 ELSE 0 END) AS charges,
       SUM(CASE kind WHEN 'charge' THEN amount_cents ELSE -amount_cents END) AS refundable_cents
FROM orders
LEFT JOIN shipments ON shipments.order_id = orders.id
LEFT JOIN payments ON payments.order_id = orders.id
WHERE orders.id IN (:key, UPPER(:key)) GROUP BY orders.id, shipments.order_id
"""
_LINES = (
    "SELECT name, quantity, price_cents FROM order_lines WHERE order_id = :key ORDER BY position"
)


class ShopDatabase:
    """A database with the tables of `sample/schema.sql`, in SQLite or Postgres; it only reads."""

    def __init__(self, url: str | Path) -> None:
        self.url = url

    @cached_property
    def _engine(self) -> Engine:
        engine = sql_engine(self.url, setting="WORKFLOW_SHOP", extra="agentic-workflow")
        if engine.dialect.name != "sqlite":
            return engine.execution_options(postgresql_readonly=True)
        # In a mode in which SQLite refuses to write; without a pool, as the file may be replaced.
        file = Path(engine.url.database or "").absolute().as_uri()
        url = URL.create("sqlite", database=file, query={"mode": "ro", "uri": "true"})
        return create_engine(url, poolclass=NullPool)

    def customer(self, email: str) -> Customer | None:
        """The customer with an address."""
        with self._connect() as connection:
            for row in _rows(connection, _CUSTOMER, email):
                orders = [order["id"] for order in _rows(connection, _ORDERS, row["id"])]
                return Customer(**row, recent_orders=orders)
        return None

    def order(self, order_id: str) -> Order | None:
        """The order with an id, in any case."""
        with self._connect() as connection:
            for row in _rows(connection, _ORDER, order_id):
                total, left = _euros(row["total_cents"]), _euros(row["refundable_cents"])
                amounts = {"total": total, "refundable": max(left, Decimal(0))}
                lines = [
                    OrderLine(**line, price=_euros(line["price_cents"]))
                    for line in _rows(connection, _LINES, row["id"])
                ]
                values = {name: value for name, value in row.items() if value is not None}
                return Order(**values, **amounts, lines=lines)
        return None

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            problem = f"The shop's database cannot be read: {reason(error)}."
            raise Unavailable(problem, hint="Check WORKFLOW_SHOP.") from error


def _euros(cents: int | None) -> Decimal:
    return Decimal(cents or 0).scaleb(-2)


def _rows(connection: Connection, query: str, key: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(query), {"key": key}).mappings()]
