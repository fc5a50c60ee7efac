"""Refunds through the sample payment API over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentic_workflow.effects.outbox import NotDelivered, Rejected, Unknown
from agentic_workflow.effects.payments import PaymentReceiver, open_payments
from agentic_workflow.sample.payment_api import create_app, open_ledger
from agentic_workflow.sample.shop import create_shop
from seedbed.testing.launch import closed_port, serve_app

PAYLOAD = {"order_id": "10234", "amount": "49.90", "currency": "EUR"}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "payments.sqlite"


@pytest.fixture
def url(ledger: Path) -> Iterator[str]:
    with serve_app(create_app(ledger)) as url:
        yield url


def rows(ledger: Path, table: str) -> list[tuple[Any, ...]]:
    with open_ledger(ledger) as connection:
        return list(connection.execute(f"SELECT * FROM {table}").fetchall())


def refund(url: str, key: str = "m1:refund:1", payload: dict[str, str] = PAYLOAD) -> str:
    return PaymentReceiver(open_payments(url)).deliver(payload, key, lambda: None)


def test_refund_is_booked_once_however_often_it_is_sent(url: str, ledger: Path) -> None:
    assert len({refund(url) for _ in range(3)}) == 1
    assert [row[1:] for row in rows(ledger, "refunds")] == [("10234", 4990)]
    refund(url, "m2:refund:1")
    assert len(rows(ledger, "refunds")) == 2


@pytest.mark.parametrize(("mode", "booked"), [("before", 0), ("after", 1)])
def test_server_error_is_unknown_and_calling_again_books_once(
    url: str, ledger: Path, mode: str, booked: int
) -> None:
    httpx.post(f"{url}/failures", json={"mode": mode})
    with pytest.raises(Unknown):
        refund(url)
    assert len(rows(ledger, "refunds")) == booked
    refund(url)
    assert len(rows(ledger, "refunds")) == 1


def test_refused_booking_is_rejected_and_can_be_repeated(url: str, ledger: Path) -> None:
    httpx.post(f"{url}/failures", json={"mode": "refuse"})
    with pytest.raises(Rejected):
        refund(url)
    assert not rows(ledger, "refunds")
    refund(url)  # a person replays it


@pytest.mark.parametrize("amount", ["0", "-5"])
def test_wrong_amount_is_rejected(url: str, amount: str) -> None:
    with pytest.raises(Rejected):
        refund(url, payload={**PAYLOAD, "amount": amount})


def test_api_that_is_away_is_not_delivered() -> None:
    with closed_port() as port, pytest.raises(NotDelivered):
        refund(f"http://127.0.0.1:{port}")


def test_order_is_never_refunded_more_than_it_cost(tmp_path: Path, ledger: Path) -> None:
    shop = tmp_path / "shop.sqlite"
    create_shop(shop)
    with serve_app(create_app(ledger, shop)) as url:
        with open_ledger(ledger, shop) as connection:
            order, cents = connection.execute(
                "SELECT order_id, SUM(amount_cents) FROM shop.payments"
                " GROUP BY order_id HAVING MIN(kind) = 'charge' AND MAX(kind) = 'charge' LIMIT 1"
            ).fetchone()
        payload = {"order_id": order, "amount": f"{cents / 100:.2f}", "currency": "EUR"}
        refund(url, payload=payload)
        refund(url, payload=payload)
        with pytest.raises(Rejected, match="cannot be refunded"):
            refund(url, "m2:refund:1", payload={**payload, "amount": "0.01"})
        with open_ledger(ledger, shop) as connection:
            query = "SELECT COUNT(*) FROM shop.payments WHERE kind = 'refund' AND order_id = ?"
            assert connection.execute(query, (order,)).fetchone() == (1,)
