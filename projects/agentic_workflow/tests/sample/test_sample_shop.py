"""The sample shop and the facts that are looked up in it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from agentic_workflow.case import Facts
from agentic_workflow.config import Config
from agentic_workflow.decide.shop import look_up
from agentic_workflow.sample.shop import SampleShop, ensure_shop
from agentic_workflow.sample.start import MAILS, sample_shop
from seedbed.errors import ConfigError, Unavailable
from seedbed.settings import load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a shop?")
    ensure_shop(folder)
    return folder


@pytest.fixture(scope="module")
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(ensure_shop(folder))) as connection:
        yield connection


def column(database: sqlite3.Connection, query: str) -> list[Any]:
    return [row[0] for row in database.execute(query)]


def test_rows_of_the_shop_fit_together(database: sqlite3.Connection) -> None:
    assert not column(database, "PRAGMA foreign_key_check")
    lines = (
        "SELECT total_cents - sum(quantity * price_cents) FROM orders"
        " JOIN order_lines ON order_id = id GROUP BY id"
    )
    assert set(column(database, lines)) == {0, 490}  # delivery
    left = "SELECT sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END * amount_cents) FROM payments"
    assert min(column(database, f"{left} GROUP BY order_id")) >= 0
    wrong = (
        "SELECT order_id FROM shipments JOIN orders ON id = order_id WHERE shipped_on < ordered_on"
        " OR delivered_on < shipped_on OR delivered_on > date('now')"
    )
    assert not column(database, wrong)


def test_sample_mails_are_about_their_senders_orders(database: sqlite3.Connection) -> None:
    query = "SELECT orders.id, email FROM orders JOIN customers ON customers.id = customer_id"
    owners, mentions = dict(database.execute(query)), set()
    for path in MAILS.glob("*.eml"):
        mail = message_from_bytes(path.read_bytes(), policy=default)
        sender = mail["From"].addresses[0].addr_spec
        text = mail["Subject"] + (mail.get_body() or mail).get_content()
        for order_id in owners if sender.endswith("@mail.example") else ():
            if order_id in text:
                assert owners[order_id] == sender, path.name
                mentions.add(order_id)
    assert len(mentions) >= 12


def test_facts_contain_order_payments_and_shipment(folder: Path) -> None:
    facts = look_up(SampleShop(folder), "Priya.Shah@mail.example", "59641")
    assert (facts.customer_name, facts.order_status) == ("Priya Shah", "delivered")
    assert (facts.total, facts.refundable) == (Decimal("54.80"), Decimal("109.60"))
    assert (facts.charges, facts.carrier) == (2, "PostLink")
    days = date.today() - date.fromisoformat(facts.delivered_on)
    assert timedelta(3) <= days <= timedelta(5)  # 4 days before the day in UTC
    assert [(line.name, line.price) for line in facts.lines] == [
        ("Brio kettle 1.7 l", Decimal("49.90"))
    ]
    assert "59641" in facts.recent_orders


@pytest.mark.parametrize("sender", ["tom.baker@mail.example", "nobody@mail.example", ""])
def test_order_of_another_customer_is_not_revealed(folder: Path, sender: str) -> None:
    facts = look_up(SampleShop(folder), sender, "59641")
    assert facts.warnings == ("order 59641 belongs to another customer",)
    hidden = facts.model_dump(exclude={"customer_id", "customer_name", "recent_orders", "warnings"})
    assert hidden == Facts().model_dump(include=set(hidden))
    assert "59641" not in facts.recent_orders


@pytest.mark.parametrize("sender", ["' OR 1=1 --", "%@mail.example", "tom.baker@mail.example'"])
def test_sender_is_a_value_and_not_sql(folder: Path, sender: str) -> None:
    assert look_up(SampleShop(folder), sender, "x' OR '1'='1").customer_id is None


def test_missing_database_is_unavailable_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        look_up(SampleShop(tmp_path), "a@b.example", None)
    assert not (tmp_path / "shop.sqlite").exists()


@pytest.mark.parametrize(
    ("parts", "missing"),
    [
        ({"smtp_url": "smtp://mx.example", "shop": "shop:Mine"}, "WORKFLOW_PAYMENTS"),
        ({"imap_url": "imaps://help:secret@mx.example"}, "WORKFLOW_SHOP, WORKFLOW_SMTP_URL"),
    ],
)
def test_real_mails_are_not_answered_by_the_sample_shop(
    parts: dict[str, str], missing: str
) -> None:
    with (
        pytest.raises(ConfigError, match=f"Not configured: {missing}"),
        sample_shop(load(Config, **parts)),
    ):
        pass
