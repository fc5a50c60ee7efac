"""A local payment API: reservations and refunds, in an SQLite file, that fails on demand.

    app = create_app(Path("var/payments.sqlite"), shop=Path("var/shop.sqlite"))
    PUT    /reservations/ID  {"order_id", "amount"}   reserves; again, the same reservation
    POST   /refunds          {"reservation"}          books; again, the same refund
    DELETE /reservations/ID                           releases, unless it is booked
    POST   /failures         {"mode", "count"}        so many bookings fail: "before" or "after"
                                                      they are booked, or for good ("refuse")

With a shop, no more is refunded for an order than was paid for it, and a refund becomes a payment
of the shop; without one, every sum is booked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, Header, HTTPException

from seedbed.database.sqlite import open_sqlite

_TABLES = """
CREATE TABLE IF NOT EXISTS reservations (id PRIMARY KEY, order_id TEXT, cents INT, status TEXT);
CREATE TABLE IF NOT EXISTS refunds (key PRIMARY KEY, order_id TEXT, cents INT);
CREATE TABLE IF NOT EXISTS calls (name PRIMARY KEY, count INT);
CREATE TABLE IF NOT EXISTS failures (mode TEXT)
"""
_COUNT = "INSERT INTO calls VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET count = count + 1"
_RESERVE = "REPLACE INTO reservations VALUES (?, ?, ?, 'reserved')"
_STATUS = "SELECT status, order_id, cents FROM reservations WHERE id = ?"
_MARK = "UPDATE reservations SET status = ? WHERE id = ? AND status = 'reserved'"
_FAILURE = "DELETE FROM failures WHERE rowid = (SELECT MIN(rowid) FROM failures) RETURNING mode"
_PAYMENT = "INSERT INTO shop.payments VALUES (?, ?, 'refund', ?, 'refund', date())"
_LEFT = """
SELECT SUM(cents) FROM (
    SELECT CASE kind WHEN 'charge' THEN 1 ELSE -1 END * amount_cents AS cents FROM shop.payments
    WHERE order_id = :order
    UNION ALL SELECT -cents FROM reservations WHERE order_id = :order AND status = 'reserved')
"""


@contextmanager
def open_ledger(path: Path, shop: Path | None = None, call: str = "") -> Iterator[Any]:
    """One transaction on the tables `reservations`, `refunds` and `calls`, counted as a call."""
    connection = open_sqlite(path)
    try:
        if shop:
            connection.execute("ATTACH ? AS shop", (str(shop),))
        connection.execute("BEGIN IMMEDIATE")
        if call:
            connection.execute(_COUNT, (call,))
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

    @app.get("/healthz")
    def healthz() -> dict[str, bool]:
        return {"ok": True}

    @app.put("/reservations/{id}")
    def reserve(
        id: str, order_id: Annotated[str | None, Body()], amount: Annotated[Decimal, Body(gt=0)]
    ) -> dict[str, str]:
        cents = int(amount * 100)
        with open_ledger(path, shop, "reserve") as ledger:
            if (status := _status(ledger, id)) != "released":
                return {"id": id, "status": status}
            if shop and cents > (ledger.execute(_LEFT, {"order": order_id}).fetchone()[0] or 0):
                raise HTTPException(422, f"{amount} cannot be refunded for order {order_id}.")
            ledger.execute(_RESERVE, (id, order_id, cents))
        return {"id": id, "status": "reserved"}

    @app.post("/refunds")
    def book(
        reservation: Annotated[str, Body(embed=True)], idempotency_key: Annotated[str, Header()]
    ) -> dict[str, str]:
        with open_ledger(path) as ledger:
            mode, *_ = ledger.execute(_FAILURE).fetchone() or ("",)
        if mode == "before":
            raise HTTPException(500, "Not booked.")
        with open_ledger(path, shop, "book") as ledger:
            row = ledger.execute(_STATUS, (reservation,)).fetchone()
            status, order_id, cents = row or ("", "", 0)
            if mode == "refuse" or status not in ("reserved", "booked"):
                raise HTTPException(422, f"Reservation {reservation!r} cannot be booked.")
            if status == "reserved":
                row = (idempotency_key, order_id, cents)
                ledger.execute("INSERT INTO refunds VALUES (?, ?, ?)", row)
                ledger.execute(_MARK, ("booked", reservation))
                if shop:
                    ledger.execute(_PAYMENT, (f"R{idempotency_key[:16]}", order_id, cents))
        if mode == "after":
            raise HTTPException(500, "Booked, but without an answer.")
        return {"id": idempotency_key, "amount": f"{cents / 100:.2f}", "status": "booked"}

    @app.delete("/reservations/{id}")
    def release(id: str) -> dict[str, str]:
        with open_ledger(path, shop, "release") as ledger:
            ledger.execute(_MARK, ("released", id))
            return {"id": id, "status": _status(ledger, id)}

    @app.post("/failures")
    def fail(mode: Annotated[str, Body()], count: Annotated[int, Body()] = 1) -> None:
        with open_ledger(path) as ledger:
            ledger.executemany("INSERT INTO failures VALUES (?)", [(mode,)] * count)

    return app


def _status(ledger: sqlite3.Connection, id: str) -> str:
    row = ledger.execute(_STATUS, (id,)).fetchone()
    return str(row[0]) if row else "released"
