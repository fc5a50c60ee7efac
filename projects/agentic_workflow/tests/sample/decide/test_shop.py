"""Facts from the shop's database."""

import sqlite3
from contextlib import closing
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from agentic_workflow.decide.shop import ShopDatabase, look_up
from agentic_workflow.sample.shop import create_shop
from agentic_workflow.store.case import Facts
from seedbed.errors import Unavailable


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> ShopDatabase:
    path = tmp_path_factory.mktemp("shop") / "a shop?.sqlite"
    create_shop(path, today=date(2026, 3, 2))
    return ShopDatabase(path)


def facts(shop: ShopDatabase, sender: str, order_id: str | None) -> Facts:
    return look_up(shop, sender, order_id)


def test_facts_contain_order_payments_and_shipment(shop: ShopDatabase) -> None:
    known = facts(shop, "Priya.Shah@mail.example", "59641")
    assert (known.customer_name, known.order_status) == ("Priya Shah", "delivered")
    assert (known.total, known.refundable, known.charges) == (
        Decimal("54.80"),
        Decimal("109.60"),
        2,
    )
    assert (known.carrier, known.delivered_on) == ("PostLink", "2026-02-26")
    assert [(line.name, str(line.price)) for line in known.lines] == [
        ("Brio kettle 1.7 l", "49.90")
    ]
    assert "59641" in known.recent_orders


def test_refunds_reduce_what_is_refundable(tmp_path: Path) -> None:
    create_shop(path := tmp_path / "shop.sqlite", today=date(2026, 3, 2))
    with closing(sqlite3.connect(path)) as connection, connection:
        refund = ("R1", "59641", "refund", 5000, "card", "2026-03-01")
        connection.execute("INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?)", refund)
    known = facts(ShopDatabase(path), "priya.shah@mail.example", "59641")
    assert (known.refundable, known.charges) == (Decimal("59.60"), 2)


def test_order_without_shipment_has_no_tracking(shop: ShopDatabase) -> None:
    known = facts(shop, "marta.gil@mail.example", "59843")
    assert (known.order_status, known.tracking, known.delivered_on) == ("cancelled", "", "")


@pytest.mark.parametrize("sender", ["tom.baker@mail.example", "nobody@mail.example", ""])
def test_order_of_another_customer_is_not_revealed(shop: ShopDatabase, sender: str) -> None:
    known = facts(shop, sender, "59641")
    assert known.warnings == ("order 59641 belongs to another customer",)
    hidden = known.model_dump(exclude={"customer_id", "customer_name", "recent_orders", "warnings"})
    assert hidden == Facts().model_dump(include=set(hidden))
    assert "59641" not in known.recent_orders


def test_unknown_order_is_a_warning(shop: ShopDatabase) -> None:
    assert facts(shop, "tom.baker@mail.example", "1").warnings == ("order 1 does not exist",)


@pytest.mark.parametrize("sender", ["' OR 1=1 --", "%@mail.example", "tom.baker@mail.example'"])
def test_sender_is_a_value_and_not_sql(shop: ShopDatabase, sender: str) -> None:
    assert facts(shop, sender, "x' OR '1'='1").customer_id is None


def test_database_is_opened_for_reading_only(shop: ShopDatabase) -> None:
    with shop._engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.execute(text("DELETE FROM orders"))


def test_database_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    create_shop(tmp_path / "shop.sqlite", today=date(2026, 3, 2))
    shop = ShopDatabase(f"sqlite:///{tmp_path / 'shop.sqlite'}")
    assert facts(shop, "tom.baker@mail.example", "59921").ordered_on == "2026-02-28"
    create_shop(tmp_path / "shop.sqlite", today=date(2026, 3, 5))
    assert facts(shop, "tom.baker@mail.example", "59921").ordered_on == "2026-03-03"


def test_missing_database_is_unavailable_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="WORKFLOW_SHOP"):
        facts(ShopDatabase(tmp_path / "none.sqlite"), "a@b.example", None)
    assert not (tmp_path / "none.sqlite").exists()
