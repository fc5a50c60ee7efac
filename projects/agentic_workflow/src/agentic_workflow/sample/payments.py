"""The sample payment provider: refunds in an SQLite file of the data folder.

    WORKFLOW_PAYMENTS=agentic_workflow.sample.payments:SamplePayments

Any sum is booked, once per key. The desk decides what may be refunded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from agentic_workflow.config import Config
from seedbed.database.sqlite import open_sqlite
from seedbed.settings import load

_TABLE = "CREATE TABLE IF NOT EXISTS refunds (key PRIMARY KEY, order_id TEXT, cents INT)"


@contextmanager
def open_ledger(folder: Path) -> Iterator[Any]:
    """One transaction on the table `refunds`."""
    connection = open_sqlite(folder / "payments.sqlite")
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_TABLE)
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()


class SamplePayments:
    """An `effects.payments.Payments` over a folder, by default the data folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or load(Config).data_dir

    def refund(self, order_id: str, amount: Decimal, currency: str, key: str) -> str:  # noqa: ARG002
        """Book a refund; again with the same key, nothing more is booked."""
        with open_ledger(self._folder) as ledger:
            row = (key, order_id, int(amount * 100))
            ledger.execute("INSERT OR IGNORE INTO refunds VALUES (?, ?, ?)", row)
        return key
