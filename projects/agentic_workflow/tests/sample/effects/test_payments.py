"""Refunds through the sample payment provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentic_workflow.effects.outbox import NotDelivered, Rejected, Unknown
from agentic_workflow.effects.payments import PaymentReceiver
from agentic_workflow.sample.payments import SamplePayments, fail, open_ledger

PAYLOAD = {"order_id": "10234", "amount": "49.90", "currency": "EUR"}


def refund(folder: Path, key: str = "m1:refund", payload: dict[str, str] = PAYLOAD) -> str:
    return PaymentReceiver(SamplePayments(folder)).deliver(payload, key, lambda: None)


def booked(folder: Path) -> list[tuple[str, int]]:
    with open_ledger(folder) as ledger:
        return list(ledger.execute("SELECT order_id, cents FROM refunds").fetchall())


@pytest.mark.parametrize(
    ("mode", "error", "count"),
    [
        ("away", NotDelivered, 0),
        ("before", Unknown, 0),
        ("after", Unknown, 1),
        ("refuse", Rejected, 0),
    ],
)
def test_refund_that_failed_is_booked_once_by_the_next_call(
    tmp_path: Path, mode: str, error: type[Exception], count: int
) -> None:
    fail(tmp_path, mode)
    with pytest.raises(error):
        refund(tmp_path)
    assert len(booked(tmp_path)) == count
    refund(tmp_path)
    assert len(booked(tmp_path)) == 1
