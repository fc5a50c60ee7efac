"""The sample shop and the facts that are looked up in it."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from agentic_workflow.case import Facts
from agentic_workflow.config import Config
from agentic_workflow.decide.shop import look_up
from agentic_workflow.sample.shop import SampleShop
from agentic_workflow.sample.start import sample_shop
from seedbed.errors import ConfigError
from seedbed.settings import load


def test_facts_contain_order_payments_and_shipment() -> None:
    facts = look_up(SampleShop(), "Priya.Shah@mail.example", "59641")
    assert (facts.customer_name, facts.order_status) == ("Priya Shah", "delivered")
    assert (facts.total, facts.refundable) == (Decimal("54.80"), Decimal("109.60"))
    assert (facts.charges, facts.carrier) == (2, "PostLink")
    days = date.today() - date.fromisoformat(facts.delivered_on)
    assert timedelta(3) <= days <= timedelta(5)  # 4 days before the day in UTC
    assert [(line.name, line.price) for line in facts.lines] == [
        ("Brio kettle 1.7 l", Decimal("49.90"))
    ]
    assert "59641" in facts.recent_orders


@pytest.mark.parametrize("sender", ["tom.baker@mail.example", "' OR 1=1 --", ""])
def test_order_of_another_customer_is_not_revealed(sender: str) -> None:
    facts = look_up(SampleShop(), sender, "59641")
    assert facts.warnings == ("order 59641 belongs to another customer",)
    hidden = facts.model_dump(exclude={"customer_id", "customer_name", "recent_orders", "warnings"})
    assert hidden == Facts().model_dump(include=set(hidden))
    assert "59641" not in facts.recent_orders


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
