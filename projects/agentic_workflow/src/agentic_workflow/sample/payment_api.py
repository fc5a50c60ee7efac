"""A local payment API: refunds in an SQLite file, that fails on demand.

    app = create_app(Path("var/payments.sqlite"), shop=Path("var/shop.sqlite"))
    POST   /refunds   {"order_id", "amount"}   books; again with the same key, the same refund
    POST   /failures  {"mode", "count"}        so many bookings fail: "before" or "after" they are
                                               booked, or for good ("refuse")

With a shop, no more is refunded for an order than was paid for it, and a refund becomes a payment
of the shop; without one, every sum is booked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, Header, HTTPException

from seedbed.database.sqlite import open_sqlite

_TABLES = """
CREATE TABLE IF NOT EXISTS refunds (key PRIMARY KEY, order_id TEXT, cents INT);
CREATE TABLE IF NOT EXISTS failures (mode TEXT)
"""
_FAILURE = "DELETE FROM failures WHERE rowid = (SELECT MIN(rowid) FROM failures) RETURNING mode"
_PAYMENT = "INSERT INTO shop.payments VALUES (?, ?, 'refund', ?, 'refund', date())"
_LEFT = """
SELECT SUM(CASE kind WHEN 'charge' THEN 1 ELSE -1 END * amount_cents) FROM shop.payments
WHERE order_id = ?
"""


@contextmanager
def open_ledger(path: Path, shop: Path | None = None) -> Iterator[Any]:
    """One transaction on the table `refunds` and those of the shop."""
    connection = open_sqlite(path)
    try:
        if shop:
            connection.execute("ATTACH ? AS shop", (str(shop),))
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()


def create_app(path: Path, shop: Path | None = None) -> FastAPI:
    """The API as an ASGI application; `shop` is the sample shop's database."""
    app = FastAPI(title="Payment API")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_ledger(path) as ledger:
        for table in _TABLES.split(";"):
            ledger.execute(table)

    @app.post("/refunds")
    def book(
        order_id: Annotated[str, Body()],
        amount: Annotated[Decimal, Body(gt=0)],
        idempotency_key: Annotated[str, Header()],
    ) -> dict[str, str]:
        cents, key = int(amount * 100), idempotency_key
        with open_ledger(path) as ledger:
            mode, *_ = ledger.execute(_FAILURE).fetchone() or ("",)
        if mode == "before":
            raise HTTPException(500, "Not booked.")
        with open_ledger(path, shop) as ledger:
            if not ledger.execute("SELECT 1 FROM refunds WHERE key = ?", (key,)).fetchone():
                left = ledger.execute(_LEFT, (order_id,)).fetchone()[0] or 0 if shop else cents
                if mode == "refuse" or cents > left:
                    raise HTTPException(422, f"{amount} cannot be refunded for order {order_id}.")
                ledger.execute("INSERT INTO refunds VALUES (?, ?, ?)", (key, order_id, cents))
                if shop:
                    ledger.execute(_PAYMENT, (f"R{key[:16]}", order_id, cents))
        if mode == "after":
            raise HTTPException(500, "Booked, but without an answer.")
        return {"id": key, "amount": f"{cents / 100:.2f}", "status": "booked"}

    @app.post("/failures")
    def fail(mode: Annotated[str, Body()], count: Annotated[int, Body()] = 1) -> None:
        with open_ledger(path) as ledger:
            ledger.executemany("INSERT INTO failures VALUES (?)", [(mode,)] * count)

    return app
