"""Refunds through the sample payment provider."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentic_workflow.effects.outbox import NotDelivered, Rejected, Unknown
from agentic_workflow.effects.payments import PaymentReceiver
from agentic_workflow.sample.payments import SamplePayments, fail, open_ledger
from agentic_workflow.sample.shop import ensure_shop

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


def test_order_is_never_refunded_more_than_it_cost(tmp_path: Path) -> None:
    ensure_shop(tmp_path)
    payload = {"order_id": "59688", "amount": "23.40", "currency": "EUR"}
    refund(tmp_path, payload=payload)
    refund(tmp_path, payload=payload)
    with pytest.raises(Rejected, match="cannot be refunded"):
        refund(tmp_path, "m2:refund", payload={**payload, "amount": "0.01"})
    with open_ledger(tmp_path) as ledger:
        query = (
            "SELECT amount_cents FROM shop.payments WHERE kind = 'refund' AND order_id = '59688'"
        )
        assert ledger.execute(query).fetchall() == [(2340,)]
