"""The check of exercise 2; tests of the project prove the steps 2 to 5."""

from datetime import date
from types import SimpleNamespace
from typing import Any

from agentic_workflow.case import Facts, Mail, Triage
from agentic_workflow.decide.policy import SHOP_POLICY, load_policy

MAIL = Mail(message_id="m", content_hash="h", sender="tom@mail.example", text="…")
ROBOT = MAIL.model_copy(update={"automatic": True})
ORDER: dict[str, Any] = {"customer_id": "K1", "order_id": "7", "total": 50}
RETURNED = Facts(**ORDER, order_status="returned", refundable=50, delivered_on="2026-02-01T10:00")
TWICE = Facts(**ORDER, order_status="delivered", refundable=100, charges=2)


def expect(mail: Mail, triage: Triage, facts: Facts, limit: str = "", **expected: Any) -> None:
    actual: dict[str, Any] = {}
    policy, today = load_policy(SHOP_POLICY), date(2026, 3, 2)
    when = SimpleNamespace(applies=lambda values: not actual.update(values))
    rule = policy.rules[0].model_copy(update={"when": when})
    policy = policy.model_copy(update={"rules": [rule]})
    policy.decide(mail, triage, facts, over_limit=limit, today=today)
    for name, value in expected.items():
        got = bool(actual[name]) if isinstance(value, bool) else actual[name]
        assert got == value, f"{triage.category} mail, value {name}: expected {value}, got {got}"


def check_1_the_values_of_the_conditions() -> None:
    refund, spam = Triage(category="refund", order_id="8"), Triage(category="spam")
    expect(MAIL, refund, RETURNED, spam=False, order_known=True, delivered_days=29)
    expect(ROBOT, spam, RETURNED, "9 tokens", automatic=True, over_limit=True, spam=True)
    expect(MAIL, refund, Facts(), order_known=False, delivered_days=None, amount=None)
    billing = Triage(category="billing", amount=20)
    expect(MAIL, billing, TWICE, refund_due=True, amount=50, total=50)
