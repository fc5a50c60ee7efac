"""The sample payment provider: refunds in an SQLite file of the data folder, which fail on demand.

    WORKFLOW_PAYMENTS=agentic_workflow.sample.payments:SamplePayments
    fail(folder, "after")       # the next refund is booked, but its answer is lost

Every sum is booked, once for its key. What may be refunded is up to the desk.
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


@contextmanager
def open_ledger(folder: Path) -> Iterator[Any]:
    """One transaction on the table `refunds`."""
    connection = open_sqlite(folder / "payments.sqlite")
    try:
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
        with open_ledger(self._folder) as ledger:
            mode, *_ = ledger.execute(_FAILURE).fetchone() or ("",)
        if mode == "away":
            raise NotDelivered("payments: no connection")
        if mode == "before":
            raise Unknown("payments: no answer")
        if mode == "refuse":
            raise Rejected(f"payments: {amount} cannot be refunded for order {order_id}")
        with open_ledger(self._folder) as ledger:
            row = (key, order_id, int(amount * 100))
            ledger.execute("INSERT OR IGNORE INTO refunds VALUES (?, ?, ?)", row)
        if mode == "after":
            raise Unknown("payments: no answer")
        return key
