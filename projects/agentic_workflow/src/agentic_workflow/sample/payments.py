"""The sample payment provider: refunds in an SQLite file of the data folder, which fail on demand.

    WORKFLOW_PAYMENTS=agentic_workflow.sample.payments:SamplePayments
    fail(folder, "after")       # the next refund is booked, but its answer is lost

If the folder has the sample shop, no more is refunded for an order than was paid for it, and a
refund becomes a payment of the shop; without one, every sum is booked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentic_workflow.config import Config
from agentic_workflow.effects.outbox import NotDelivered, Rejected, Unknown
from seedbed.database.sqlite import open_sqlite
from seedbed.settings import load

_TABLES = (
    "CREATE TABLE IF NOT EXISTS refunds (key PRIMARY KEY, order_id TEXT, cents INT)",
    "CREATE TABLE IF NOT EXISTS failures (mode TEXT)",
)
_FAILURE = "DELETE FROM failures WHERE rowid = (SELECT MIN(rowid) FROM failures) RETURNING mode"
_PAYMENT = "INSERT INTO shop.payments VALUES (?, ?, 'refund', ?, 'refund', date())"
_LEFT = """
SELECT SUM(CASE kind WHEN 'charge' THEN 1 ELSE -1 END * amount_cents) FROM shop.payments
WHERE order_id = ?
"""


@contextmanager
def open_ledger(folder: Path) -> Iterator[Any]:
    """One transaction on the table `refunds` and, as `shop`, those of the sample shop."""
    connection = open_sqlite(folder / "payments.sqlite")
    try:
        if (folder / "shop.sqlite").exists():
            connection.execute("ATTACH ? AS shop", (str(folder / "shop.sqlite"),))
        connection.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            connection.execute(table)
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()


def fail(folder: Path, mode: str, count: int = 1) -> None:
    """Let the next refunds fail: "away", lost "before" or "after" the booking, or "refuse"."""
    with open_ledger(folder) as ledger:
        ledger.executemany("INSERT INTO failures VALUES (?)", [(mode,)] * count)


class SamplePayments:
    """An `effects.payments.Payments` over a folder, by default the data folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or load(Config).data_dir

    def refund(self, order_id: str, amount: Decimal, currency: str, key: str) -> str:  # noqa: ARG002
        """Book a refund; again with the same key, nothing more is booked."""
        cents = int(amount * 100)
        with open_ledger(self._folder) as ledger:
            mode, *_ = ledger.execute(_FAILURE).fetchone() or ("",)
        if mode == "away":
            raise NotDelivered("payments: no connection")
        if mode == "before":
            raise Unknown("payments: no answer")
        with open_ledger(self._folder) as ledger:
            if not ledger.execute("SELECT 1 FROM refunds WHERE key = ?", (key,)).fetchone():
                shop = (self._folder / "shop.sqlite").exists()
                left = ledger.execute(_LEFT, (order_id,)).fetchone()[0] or 0 if shop else cents
                if mode == "refuse" or not 0 < cents <= left:
                    raise Rejected(f"payments: {amount} cannot be refunded for order {order_id}")
                ledger.execute("INSERT INTO refunds VALUES (?, ?, ?)", (key, order_id, cents))
                if shop:
                    ledger.execute(_PAYMENT, (f"R{key[:16]}", order_id, cents))
        if mode == "after":
            raise Unknown("payments: no answer")
        return key
