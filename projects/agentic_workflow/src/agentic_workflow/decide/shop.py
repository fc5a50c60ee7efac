"""Facts about a sender and an order, from the shop's database.

    Shop(Path("shop.sqlite")).facts(mail, triage).order_status     # "delivered"

It only reads; the tables are described in `sample/schema.sql`. A sender is the customer with that
e-mail address. Of an order of another customer, the facts contain only a warning for the staff.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from agentic_workflow.store.case import Facts, Mail, OrderLine, Triage
from seedbed.database.sql_engine import sql_engine
from seedbed.errors import Unavailable
from seedbed.safety.secrets import reason

FOREIGN_ORDER = "belongs to another customer"  # the end of the warning about such an order

_CUSTOMER = "SELECT id, name FROM customers WHERE email = :key"
_ORDERS = "SELECT id FROM orders WHERE customer_id = :key ORDER BY ordered_on DESC, id LIMIT 5"
_ORDER = """
SELECT orders.id AS order_id, status AS order_status, customer_id, ordered_on, currency,
       total_cents, carrier, tracking, expected_on, delivered_on,
       SUM(CASE kind WHEN 'charge' THEN 1 ELSE 0 END) AS charges,
       SUM(CASE kind WHEN 'charge' THEN amount_cents ELSE -amount_cents END) AS refundable_cents
FROM orders
LEFT JOIN shipments ON shipments.order_id = orders.id
LEFT JOIN payments ON payments.order_id = orders.id
WHERE orders.id = :key GROUP BY orders.id, shipments.order_id
"""
_LINES = (
    "SELECT name, quantity, price_cents FROM order_lines WHERE order_id = :key ORDER BY position"
)


class Shop:
    """The shop's database: a SQLite file, `sqlite:///FILE` or `postgresql://USER@HOST/NAME`."""

    def __init__(self, url: str | Path) -> None:
        self.url = url

    @cached_property
    def _engine(self) -> Engine:
        engine = sql_engine(self.url, setting="WORKFLOW_SHOP_URL", extra="agentic-workflow")
        if engine.dialect.name != "sqlite":
            return engine.execution_options(postgresql_readonly=True)
        # In a mode in which SQLite refuses to write; without a pool, as the file may be replaced.
        file = Path(engine.url.database or "").absolute().as_uri()
        url = URL.create("sqlite", database=file, query={"mode": "ro", "uri": "true"})
        return create_engine(url, poolclass=NullPool)

    def facts(self, mail: Mail, triage: Triage) -> Facts:
        """What is known about the sender and the order; empty for an unknown sender.

        Raises Unavailable if the database cannot be read.
        """
        try:
            with self._engine.connect() as connection:
                return _facts(connection, mail.sender.lower(), triage.order_id)
        except SQLAlchemyError as error:
            problem = f"The shop's database cannot be read: {reason(error)}."
            raise Unavailable(problem, hint="Check WORKFLOW_SHOP_URL.") from error


def _facts(connection: Connection, email: str, order_id: str | None) -> Facts:
    # 1. The customer with the sender's address.
    values: dict[str, Any] = {}
    for customer in _rows(connection, _CUSTOMER, email):
        values = {"customer_id": customer["id"], "customer_name": customer["name"]}
        values["recent_orders"] = [row["id"] for row in _rows(connection, _ORDERS, customer["id"])]
    # 2. The order, unless it belongs to another customer.
    order = next(iter(_rows(connection, _ORDER, order_id)), None) if order_id else None
    if order is None:
        return Facts(**values, warnings=(f"order {order_id} does not exist",) if order_id else ())
    if order["customer_id"] != values.get("customer_id"):
        return Facts(**values, warnings=(f"order {order_id} {FOREIGN_ORDER}",))
    # 3. What was bought, paid and shipped.
    values |= {name: value or "" for name, value in order.items() if name in Facts.model_fields}
    values["charges"], values["total"] = order["charges"], _euros(order["total_cents"])
    values["refundable"] = max(_euros(order["refundable_cents"]), Decimal(0))
    lines = _rows(connection, _LINES, order["order_id"])
    values["lines"] = [OrderLine(**line, price=_euros(line["price_cents"])) for line in lines]
    return Facts(**values)


def _euros(cents: int | None) -> Decimal:
    return Decimal(cents or 0).scaleb(-2)


def _rows(connection: Connection, query: str, key: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(query), {"key": key}).mappings()]
