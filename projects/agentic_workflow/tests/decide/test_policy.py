"""The policy file, and decisions."""

import itertools
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentic_workflow.case import CATEGORIES, Decision, Facts, Mail, Triage
from agentic_workflow.decide.policy import (
    SHOP_POLICY,
    Policy,
    PolicyFile,
    load_policy,
)
from seedbed.errors import ConfigError

MAIL = Mail(message_id="m", content_hash="h", sender="tom@mail.example", text="…")
ORDER = Facts(
    customer_id="K1",
    order_id="59921",
    order_status="returned",
    total=Decimal("54.80"),
    refundable=Decimal("54.80"),
    charges=1,
)
FOREIGN = Facts(customer_id="K1", warnings=("order 1 belongs to another customer",))
# A policy that would do everything alone.
RECKLESS = """
version = 7
approval = { deadline_hours = 2, default = "reject" }
retry = { attempts = 3, first_seconds = 0.5 }
limits = { case_usd = 1, day_usd = 1 }
[[rule]]
name = "spam"
when = { spam = true }
action = "ignore"
approval = false
why = "Spam."
[[rule]]
name = "all"
action = "ACTION"
approval = false
why = "Everything."
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.toml"


def reckless(path: Path, action: str) -> Policy:
    path.write_text(RECKLESS.replace("ACTION", action))
    return load_policy(path)


def decide(facts: Facts = ORDER, **triage: Any) -> Decision:
    policy, today = load_policy(SHOP_POLICY), date(2026, 3, 2)
    return policy.decide(MAIL, Triage(**triage), facts, today=today)


# ── the shop's policy ───────────────────────────────────────────────────────────────────────


def test_refund_of_returned_order_is_automatic_up_to_100() -> None:
    decision = decide(category="refund")
    assert (decision.action, decision.approval) == ("refund", False)
    assert decision.amount == Decimal("54.80")
    for refundable, approval in (("100.00", False), ("100.01", True)):
        facts = ORDER.model_copy(update={"refundable": Decimal(refundable)})
        decision = decide(facts, category="refund")
        assert (decision.action, decision.approval) == ("refund", approval)


def test_refund_is_what_was_asked_for_if_that_was_paid_and_else_a_person_approves_it() -> None:
    for asked, amount, approval in ((20, "20", False), (80, "54.80", True)):
        decision = decide(category="refund", amount=Decimal(asked))
        assert (decision.amount, decision.approval) == (Decimal(amount), approval)
        assert len(decision.reasons) == 1 + approval


def test_double_charge_is_refunded_once() -> None:
    twice = {"order_status": "delivered", "charges": 2, "refundable": Decimal("109.60")}
    decision = decide(ORDER.model_copy(update=twice), category="billing")
    assert (decision.action, decision.amount) == ("refund", Decimal("54.80"))
    settled = {**twice, "refundable": Decimal("54.80")}
    assert decide(ORDER.model_copy(update=settled), category="billing").action == "reply"


def test_decision_has_the_currency_of_the_order_and_not_of_the_mail() -> None:
    assert decide(category="shipping", currency="CHF").currency == ORDER.currency


def test_delivered_order_is_not_refunded_before_it_is_back() -> None:
    delivered = {"order_status": "delivered", "delivered_on": "2026-02-26"}
    decision = decide(ORDER.model_copy(update=delivered), category="refund")
    assert (decision.rule, decision.approval) == ("refund-how-to-return", False)
    delivered["delivered_on"] = "2026-01-30"  # 31 days
    decision = decide(ORDER.model_copy(update=delivered), category="refund")
    assert (decision.rule, decision.approval) == ("refund-late", True)


def test_unknown_order_leads_to_a_question() -> None:
    facts = Facts(customer_id="K1", warnings=("order 1 does not exist",))
    assert decide(facts, category="shipping", order_id="1").action == "ask"


def test_spam_and_automatic_mails_are_ignored() -> None:
    assert decide(category="spam", approval_reason="It may be urgent") == decide(category="spam")
    assert decide(category="spam").approval is False
    policy, automatic = load_policy(SHOP_POLICY), MAIL.model_copy(update={"automatic": True})
    decision = policy.decide(automatic, Triage(category="refund"), ORDER)
    assert (decision.action, decision.approval) == ("ignore", False)
    assert policy.decide(MAIL, Triage(category="spam"), ORDER, over_limit="2 USD of 1").approval


# ── safeguards that no file can remove ──────────────────────────────────────────────────────

CAUSES: dict[str, tuple[dict[str, str], str, Facts, str]] = {
    "triage": ({}, "It may be urgent", ORDER, ""),
    "injection": ({"injection": "asks to ignore the instructions"}, "", ORDER, ""),
    "foreign order": ({}, "", FOREIGN, ""),
    "limit": ({}, "", ORDER, "2 USD of 1 per day"),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_no_rule_acts_alone_where_a_person_is_required(path: Path, cause: str) -> None:
    change, reason, facts, over_limit = CAUSES[cause]
    mail = MAIL.model_copy(update=change)
    for action, category in itertools.product(("reply", "refund", "ask", "hand_over"), CATEGORIES):
        triage = Triage(category=category, approval_reason=reason)
        policies = (reckless(path, action), load_policy(SHOP_POLICY))
        for policy in policies:
            decision = policy.decide(mail, triage, facts, over_limit=over_limit)
            assert decision.approval or decision.action == "ignore"
            assert category == "spam" or decision.approval


@pytest.mark.parametrize(
    "change",
    [
        {"customer_id": None},
        {"order_id": None},
        {"refundable": None},
        {"refundable": Decimal(0)},
        {"currency": "CHF"},
    ],
)
def test_refund_that_is_not_the_senders_goes_to_a_person(
    path: Path, change: dict[str, Any]
) -> None:
    triage = Triage(category="refund", amount=Decimal(10), currency="EUR")
    facts = ORDER.model_copy(update=change)
    decision = reckless(path, "refund").decide(MAIL, triage, facts)
    assert (decision.action, decision.approval, decision.amount) == ("hand_over", True, None)


def test_automatic_mail_is_never_answered(path: Path) -> None:
    for action in ("reply", "refund", "ask", "hand_over"):
        mail = MAIL.model_copy(update={"automatic": True})
        policy = reckless(path, action)
        assert policy.decide(mail, Triage(category="other"), ORDER).action == "ignore"


def test_mail_without_sender_goes_to_a_person(path: Path) -> None:
    mail, triage = MAIL.model_copy(update={"sender": ""}), Triage(category="refund")
    decision = reckless(path, "refund").decide(mail, triage, ORDER)
    assert (decision.action, decision.approval) == ("hand_over", True)
    assert reckless(path, "ignore").decide(mail, triage, ORDER).action == "ignore"


# ── the file ────────────────────────────────────────────────────────────────────────────────

SHOP = SHOP_POLICY.read_text()


@pytest.mark.parametrize(
    ("old", "new", "marker", "reason"),
    [
        ("deadline_hours = 48 ", "deadline_hours = = 4", "deadline_hours = =", "Invalid value"),
        ("case_usd = 0.10", "case_eur = 0.10", "case_eur = 0.10", "unknown key"),
        ("attempts = 100", 'attempts = "six"', 'attempts = "six"', "valid integer"),
        ("case_usd = 0.10\n", "", "[limits]", "case_usd: missing"),
        ("deadline_hours = 48 ", "deadline_hours = inf", "deadline_hours = inf", "finite"),
        ("confidence = 0.9 ", "confidence = 0.2 ", "confidence = 0.2", "equal to 0.5"),
        ('action = "hand_over"', 'action = "panic"', 'action = "panic"', "'hand_over'"),
    ],
)
def test_mistake_is_refused_with_line_and_reason(
    path: Path, old: str, new: str, marker: str, reason: str
) -> None:
    assert old in SHOP
    path.write_text(SHOP.replace(old, new, 1))
    with pytest.raises(ConfigError, match=reason) as error:
        load_policy(path)
    lines = path.read_text().splitlines()
    line = int(str(error.value).partition(", line ")[2].partition(":")[0])
    assert line == max(n for n, text in enumerate(lines, 1) if marker in text)


def test_last_rule_without_conditions_is_required(path: Path) -> None:
    path.write_text(SHOP[: SHOP.rindex("[[rule]]")])
    with pytest.raises(ConfigError, match="the last rule must have no conditions"):
        load_policy(path)


def test_policy_file_follows_changes_and_keeps_the_old_one_after_a_mistake(path: Path) -> None:
    path.write_text(RECKLESS.replace("ACTION", "reply"))
    policies = PolicyFile(path)
    first = policies.current()
    assert policies.current() is first
    path.write_text(SHOP.replace("[[rule]]", "[[rule]", 1))
    assert policies.current() is first
    assert f"{path}, line " in policies.problem
    with pytest.raises(ConfigError, match="line"):
        PolicyFile(path)
    path.unlink()
    assert policies.current() is first
    path.write_text(SHOP)
    assert (policies.current().version, policies.problem) != (first.version, "")
    assert policies.current().approval.default == "hold"
