import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from email import message_from_bytes
from email.policy import default
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from agentic_workflow.sample.shop import ORDERS, create_shop

TODAY = date(2026, 3, 2)
MAILS = sorted(Path(str(files("agentic_workflow") / "sample" / "mails")).glob("*.eml"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("shop") / "shop.db"
    create_shop(path, today=TODAY)
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def column(shop: sqlite3.Connection, query: str) -> list[Any]:
    return [row[0] for row in shop.execute(query)]


def test_shop_is_the_same_for_the_same_day(tmp_path: Path) -> None:
    for name in ("one.db", "two.db"):
        create_shop(tmp_path / name, today=TODAY)
    assert (tmp_path / "one.db").read_bytes() == (tmp_path / "two.db").read_bytes()


def test_shop_dates_move_with_today(tmp_path: Path) -> None:
    query = "SELECT delivered_on FROM shipments WHERE order_id = '59688'"
    for today in (TODAY, TODAY + timedelta(40)):
        create_shop(tmp_path / "shop.db", today=today)
        with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
            assert column(shop, query) == [(today - timedelta(3)).isoformat()]


def test_shop_contains_customers_and_orders_of_all_kinds(shop: sqlite3.Connection) -> None:
    assert column(shop, "SELECT count(*) FROM customers") == [16]
    assert column(shop, "SELECT count(*) FROM orders WHERE id LIKE '_____'") == [len(ORDERS)]
    statuses = {"paid", "shipped", "delivered", "cancelled", "returned"}
    assert set(column(shop, "SELECT status FROM orders")) == statuses
    assert not column(shop, "PRAGMA foreign_key_check")


def test_order_totals_are_their_lines_plus_delivery(shop: sqlite3.Connection) -> None:
    extra = column(
        shop,
        "SELECT total_cents - sum(quantity * price_cents) FROM orders"
        " JOIN order_lines ON order_id = id GROUP BY id",
    )
    assert set(extra) == {0, 490}


def test_refunds_never_exceed_charges(shop: sqlite3.Connection) -> None:
    left = column(
        shop,
        "SELECT sum(CASE kind WHEN 'charge' THEN amount_cents ELSE -amount_cents END)"
        " FROM payments GROUP BY order_id",
    )
    assert len(left) == len(ORDERS) and min(left) >= 0


def test_no_date_is_in_the_future_or_out_of_order(shop: sqlite3.Connection) -> None:
    today = TODAY.isoformat()
    assert not column(shop, f"SELECT id FROM orders WHERE ordered_on > '{today}'")
    assert not column(shop, f"SELECT id FROM payments WHERE booked_on > '{today}'")
    wrong = (
        "SELECT order_id FROM shipments JOIN orders ON id = order_id"
        f" WHERE shipped_on < ordered_on OR delivered_on < shipped_on OR delivered_on > '{today}'"
    )
    assert not column(shop, wrong)


@pytest.mark.parametrize("order_id", ["59641", "59282"])
def test_double_charges_are_two_payments(shop: sqlite3.Connection, order_id: str) -> None:
    query = f"SELECT amount_cents FROM payments WHERE kind = 'charge' AND order_id = {order_id}"
    first, second = column(shop, query)
    assert first == second


def test_sample_mails_are_about_their_senders_orders(shop: sqlite3.Connection) -> None:
    owners = dict(
        shop.execute(
            "SELECT orders.id, email FROM orders JOIN customers ON customers.id = customer_id"
        )
    )
    mentions = set()
    for path in MAILS:
        mail = message_from_bytes(path.read_bytes(), policy=default)
        sender = mail["From"].addresses[0].addr_spec
        if not sender.endswith("@mail.example"):
            continue
        assert sender in owners.values() or sender in column(shop, "SELECT email FROM customers")
        text = mail["Subject"] + (mail.get_body() or mail).get_content()
        for order_id in {order.id for order in ORDERS} & set(_digits(text)):
            assert owners[order_id] == sender, path.name
            mentions.add(order_id)
    assert len(mentions) >= 12


def _digits(text: str) -> list[str]:
    return "".join(letter if letter.isdigit() else " " for letter in text).split()
