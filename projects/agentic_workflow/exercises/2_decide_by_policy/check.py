"""Checks of exercise 2: decisions about one order, under policies whose rules all apply."""

from datetime import date
from types import SimpleNamespace

from agentic_workflow.case import Facts, Mail, Triage
from agentic_workflow.decide.policy import SHOP_POLICY, load_policy

MAIL = Mail(message_id="m", content_hash="h", sender="tom@mail.example", text="…")
ORDER = {"customer_id": "K1", "order_id": "7", "currency": "CHF", "total": 50}
RETURNED = Facts(**ORDER, order_status="returned", refundable=50, delivered_on="2026-02-01T10:00")
TWICE = Facts(**ORDER, order_status="delivered", refundable=100, charges=2)
CASES = {
    "wants a refund": {},
    "automatic": {"mail": MAIL.model_copy(update={"automatic": True})},
    "spam": {"triage": Triage(category="spam")},
    "limit": {"over_limit": "9 tokens"},
    "order of others": {"facts": Facts(), "triage": Triage(category="refund", order_id="8")},
    "asks for 80 of 50": {"triage": Triage(category="refund", amount=80)},
    "charged twice": {"facts": TWICE, "triage": Triage(category="billing", amount=20)},
}


def expect(names: str, rules: str = "reply", **expected: object) -> None:
    """Rules are actions, with "?" if a person approves. `when_x` is the value x of conditions."""
    case = {key: value for name in names.split(" + ") for key, value in CASES[name].items()}
    actual, policy = {}, load_policy(SHOP_POLICY)
    when = SimpleNamespace(applies=lambda v: not actual.update({f"when_{k}": v[k] for k in v}))
    made = [{"name": r, "action": r.strip("?"), "approval": "?" in r} for r in rules.split()]
    made = [policy.rules[0].model_copy(update={"when": when, "why": "Why."} | r) for r in made]
    policy = policy.model_copy(update={"rules": made, "version": "7"})
    default = {"mail": MAIL, "triage": Triage(category="refund")}
    decision = policy.decide(**{"facts": RETURNED, "today": date(2026, 3, 2)} | default | case)
    actual |= dict(decision) | {"reasons": len(decision.reasons)}
    actual = {n: bool(actual[n]) if isinstance(expected[n], bool) else actual[n] for n in expected}
    assert actual == expected, f"rules {rules}, mail: {names}: expected {expected}, got {actual}"


def check_1_the_values_of_the_conditions() -> None:
    expect("wants a refund", when_spam=False, when_order_known=True, when_delivered_days=29)
    expect("automatic + limit + spam", when_automatic=True, when_over_limit=True, when_spam=True)
    expect("order of others", when_order_known=False, when_delivered_days=None, when_amount=None)
    expect("charged twice", when_refund_due=True, when_amount=50, when_total=50)


def check_2_the_first_rule_that_applies_decides() -> None:
    expect("wants a refund", "reply ask? ignore", rule="reply", action="reply", approval=False)


def check_3_what_is_impossible_is_not_done() -> None:
    expect("order of others", "refund", action="hand_over", amount=None, approval=True)


def check_4_a_person_approves_what_is_not_certain() -> None:
    expect("charged twice", "refund", approval=False)
    expect("spam + limit", "ignore", approval=True)


def check_5_the_decision_has_its_reasons_and_the_refund() -> None:
    expect("asks for 80 of 50", "refund", amount=50, approval=True, reasons=2)
