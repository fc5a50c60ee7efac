"""Facts about a sender and an order, from the shop's database.

    shop = Shop(Path("shop.db"))              # or postgresql://USER@HOST/NAME
    shop.facts(mail, triage).order_status     # "delivered"

It only reads; the tables are described in `sample/shop.py`. A sender is the customer with that
e-mail address. An order of another customer is never revealed: `order_id` stays empty and a
warning, which only people at the shop read, names it.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentic_workflow.store.case import Facts, Mail, OrderLine, Triage
from seedbed.database import sql_engine
from seedbed.errors import Unavailable
from seedbed.guardrails import reason

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

FOREIGN_ORDER = "belongs to another customer"
"""The end of the warning about such an order."""

_CUSTOMER = "SELECT id, name FROM customers WHERE email = :email"
_RECENT_ORDERS = (
    "SELECT id FROM orders WHERE customer_id = :id ORDER BY ordered_on DESC, id LIMIT 5"
)
_ORDER = """
SELECT o.*, s.carrier, s.tracking, s.expected_on, s.delivered_on
FROM orders o LEFT JOIN shipments s ON s.order_id = o.id WHERE o.id = :id
"""
_LINES = """
SELECT name, quantity, price_cents FROM order_lines WHERE order_id = :id ORDER BY position
"""
_PAYMENTS = """
SELECT kind, COUNT(*) AS count, SUM(amount_cents) AS cents FROM payments
WHERE order_id = :id GROUP BY kind
"""


class Shop:
    """The shop's database, opened for reading.

    `url` is a SQLite file, `sqlite:///FILE` or `postgresql://USER@HOST/NAME`.
    """

    def __init__(self, url: str | Path) -> None:
        self.url = url

    @cached_property
    def _engine(self) -> Engine:
        from sqlalchemy import create_engine
        from sqlalchemy.engine import URL
        from sqlalchemy.pool import NullPool

        engine = sql_engine(self.url, setting="WORKFLOW_SHOP_URL", extra="agentic-workflow")
        if engine.dialect.name != "sqlite":
            return engine.execution_options(postgresql_readonly=True)
        # In a mode in which SQLite refuses to write. Without a pool, as the file may be replaced.
        file = Path(engine.url.database or "").absolute().as_uri()
        options = {"mode": "ro", "uri": "true"}
        return create_engine(URL.create("sqlite", database=file, query=options), poolclass=NullPool)

    def facts(self, mail: Mail, triage: Triage) -> Facts:
        """What the shop's database contains about the sender and the order of the mail.

        Empty for an unknown sender. Raises Unavailable if the database cannot be read.
        """
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._engine.connect() as connection:
                return _facts(connection, mail.sender, triage.order_id)
        except SQLAlchemyError as error:
            raise Unavailable(
                f"The shop's database cannot be read: {reason(error)}.",
                hint="Check WORKFLOW_SHOP_URL.",
            ) from error


def _facts(connection: Connection, email: str, order_id: str | None) -> Facts:
    # 1. The customer with the sender's address.
    customers = _rows(connection, _CUSTOMER, email=email.lower())
    values: dict[str, Any] = {}
    if customers:
        key, name = customers[0]["id"], customers[0]["name"]
        recent = tuple(row["id"] for row in _rows(connection, _RECENT_ORDERS, id=key))
        values = {"customer_id": key, "customer_name": name, "recent_orders": recent}
    if order_id is None:
        return Facts(**values)
    # 2. The order, unless it is somebody else's.
    orders = _rows(connection, _ORDER, id=order_id)
    if not orders:
        return Facts(**values, warnings=(f"order {order_id} does not exist",))
    if orders[0]["customer_id"] != values.get("customer_id"):
        return Facts(**values, warnings=(f"order {order_id} {FOREIGN_ORDER}",))
    # 3. What was bought, paid and shipped.
    return Facts(**values, **_order_facts(connection, orders[0]))


def _order_facts(connection: Connection, order: dict[str, Any]) -> dict[str, Any]:
    payments = {row["kind"]: row for row in _rows(connection, _PAYMENTS, id=order["id"])}
    cents = {kind: int(row["cents"]) for kind, row in payments.items()}
    dates = {name: str(order[name] or "") for name in ("ordered_on", "delivered_on", "expected_on")}
    return dates | {
        "order_id": order["id"],
        "order_status": order["status"],
        "carrier": order["carrier"] or "",
        "tracking": order["tracking"] or "",
        "total": _euros(order["total_cents"]),
        "refundable": _euros(max(0, cents.get("charge", 0) - cents.get("refund", 0))),
        "currency": order["currency"],
        "charges": payments["charge"]["count"] if "charge" in payments else 0,
        "lines": tuple(
            OrderLine(name=r["name"], quantity=r["quantity"], price=_euros(r["price_cents"]))
            for r in _rows(connection, _LINES, id=order["id"])
        ),
    }


def _euros(cents: int) -> Decimal:
    return Decimal(cents) / 100


def _rows(connection: Connection, query: str, **values: str) -> list[dict[str, Any]]:
    from sqlalchemy import text

    return [dict(row) for row in connection.execute(text(query), values).mappings()]
