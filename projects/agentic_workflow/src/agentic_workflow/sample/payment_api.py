"""A local payment API: reservations and refunds, in an SQLite file, that fails on demand.

    app = create_app(Path("var/payments.sqlite"), shop=Path("var/shop.sqlite"))
    PUT    /reservations/ID  {"order_id", "amount", "currency"}   reserves; again, the same
    POST   /refunds          {"reservation"}                      books; again, the same refund
    DELETE /reservations/ID                                       releases, unless it is booked
    POST   /fail             {"mode", "count"}                    the next calls fail

A repeated call is recognized by the reservation's id, or by the header Idempotency-Key. With a
shop, a refund is limited to what was paid for the order and not refunded, and becomes a payment of
the shop; without one, every sum is booked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, Field

from seedbed.database import open_sqlite

_TABLES = (
    "CREATE TABLE IF NOT EXISTS reservations"
    " (id TEXT PRIMARY KEY, order_id TEXT, cents INTEGER, status TEXT)",
    "CREATE TABLE IF NOT EXISTS refunds (key TEXT PRIMARY KEY, order_id TEXT, cents INTEGER)",
    "CREATE TABLE IF NOT EXISTS calls (name TEXT PRIMARY KEY, count INTEGER)",
    "CREATE TABLE IF NOT EXISTS failures (mode TEXT)",
)
_COUNT = "INSERT INTO calls VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET count = count + 1"
_PAID = (
    "SELECT SUM(CASE kind WHEN 'charge' THEN amount_cents ELSE -amount_cents END)"
    " FROM shop.payments WHERE order_id = ?"
)
_PAYMENT = "INSERT INTO shop.payments VALUES (?, ?, 'refund', ?, 'refund', ?)"


class Reservation(BaseModel):
    """A sum to be refunded for an order."""

    order_id: str | None
    amount: Annotated[Decimal, Field(gt=0, decimal_places=2)]
    currency: str = "EUR"


class Booking(BaseModel):
    """The reservation to book."""

    reservation: str


class Failure(BaseModel):
    """How the next `count` bookings fail: before they are booked, after it, or for good."""

    mode: Literal["before", "after", "refuse"]
    count: int = 1


def create_app(path: Path, shop: Path | None = None) -> FastAPI:
    """The API as an ASGI application. `path` is created; `shop` is the sample shop's database."""
    app, ledger = FastAPI(title="Payment API"), Ledger(path, shop)

    @app.get("/healthz")
    def healthz() -> dict[str, bool]:
        return {"ok": True}

    @app.put("/reservations/{id}")
    def reserve(id: str, body: Reservation) -> dict[str, Any]:
        status = ledger.reserve(id, body)
        if status is None:
            raise HTTPException(422, f"{body.amount} cannot be refunded for {body.order_id}.")
        return {"id": id, "status": status}

    @app.post("/refunds")
    def book(body: Booking, idempotency_key: Annotated[str, Header()]) -> dict[str, Any]:
        mode = ledger.next_failure()
        if mode == "before":
            raise HTTPException(500, "Not booked.")
        refund = None if mode == "refuse" else ledger.book(body.reservation, idempotency_key)
        if refund is None:
            raise HTTPException(422, f"Reservation {body.reservation!r} cannot be booked.")
        if mode == "after":
            raise HTTPException(500, "Booked, but you will not know.")
        return refund

    @app.delete("/reservations/{id}")
    def release(id: str) -> dict[str, Any]:
        return {"id": id, "status": ledger.release(id)}

    @app.post("/fail")
    def fail(body: Failure) -> None:
        ledger.fail(body)

    return app


class Ledger:
    """Reservations and refunds; each method is one transaction and counts as one call."""

    def __init__(self, path: Path, shop: Path | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._shop = path, shop
        with self._transaction("open") as connection:
            for statement in _TABLES:
                connection.execute(statement)

    def reserve(self, id: str, body: Reservation) -> str | None:
        """Reserve, unless this id has a reservation already; None if the sum is too large."""
        cents = int(body.amount * 100)
        with self._transaction("reserve") as connection:
            status = _status(connection, id)
            if status in ("reserved", "booked"):
                return status
            if self._shop and cents > _refundable(connection, body.order_id):
                return None
            row = (id, body.order_id, cents, "reserved")
            connection.execute("REPLACE INTO reservations VALUES (?, ?, ?, ?)", row)
            return "reserved"

    def book(self, reservation: str, key: str) -> dict[str, Any] | None:
        """The refund under this key, booked now or before; None without a reservation for it."""
        with self._transaction("book") as connection:
            row = connection.execute(
                "SELECT order_id, cents FROM reservations WHERE id = ? AND status = 'reserved'",
                (reservation,),
            ).fetchone()
            if row:
                connection.execute("INSERT INTO refunds VALUES (?, ?, ?)", (key, *row))
                connection.execute(
                    "UPDATE reservations SET status = 'booked' WHERE id = ?", (reservation,)
                )
                if self._shop:
                    payment = (f"R{key[:16]}", *row, datetime.now(UTC).date().isoformat())
                    connection.execute(_PAYMENT, payment)
            query = "SELECT cents FROM refunds WHERE key = ?"
            booked = connection.execute(query, (key,)).fetchone()
            if booked is None:
                return None
            return {"id": key, "amount": f"{booked[0] / 100:.2f}", "status": "booked"}

    def release(self, id: str) -> str:
        """Release a reservation; returns its status, which stays "booked" if it is."""
        with self._transaction("release") as connection:
            statement = "UPDATE reservations SET status = 'released' WHERE id = ? AND status = ?"
            connection.execute(statement, (id, "reserved"))
            return _status(connection, id)

    def fail(self, failure: Failure) -> None:
        """Let the next bookings fail."""
        with self._transaction("fail") as connection:
            rows = [(failure.mode,)] * failure.count
            connection.executemany("INSERT INTO failures VALUES (?)", rows)

    def next_failure(self) -> str:
        """How this booking is to fail, or ""."""
        statement = "DELETE FROM failures WHERE rowid = (SELECT MIN(rowid) FROM failures)"
        with self._transaction("failure") as connection:
            row = connection.execute(f"{statement} RETURNING mode").fetchone()
            return str(row[0]) if row else ""

    def rows(self, table: Literal["reservations", "refunds", "calls"]) -> list[tuple[Any, ...]]:
        """All rows of a table, for tests."""
        with self._transaction("rows") as connection:
            return connection.execute(f"SELECT * FROM {table}").fetchall()

    @contextmanager
    def _transaction(self, name: str) -> Iterator[sqlite3.Connection]:
        connection = open_sqlite(self._path)
        try:
            if self._shop:
                connection.execute("ATTACH ? AS shop", (str(self._shop),))
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            if name in ("reserve", "book", "release"):
                connection.execute(_COUNT, (name,))
            connection.execute("COMMIT")
        finally:
            connection.close()


def _status(connection: sqlite3.Connection, id: str) -> str:
    query = "SELECT status FROM reservations WHERE id = ?"
    row = connection.execute(query, (id,)).fetchone()
    return str(row[0]) if row else "released"


def _refundable(connection: sqlite3.Connection, order_id: str | None) -> int:
    paid = connection.execute(_PAID, (order_id,)).fetchone()[0] or 0
    query = "SELECT SUM(cents) FROM reservations WHERE order_id = ? AND status = 'reserved'"
    return int(paid) - int(connection.execute(query, (order_id,)).fetchone()[0] or 0)
