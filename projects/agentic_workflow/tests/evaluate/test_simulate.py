"""Past cases under another policy."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from agentic_workflow.case import Category, Facts, Mail, Triage
from agentic_workflow.decide.policy import SHOP_POLICY, Policy, load_policy
from agentic_workflow.evaluate.simulate import simulate
from agentic_workflow.mail.parse import SPAM
from agentic_workflow.mail.screen import screen
from agentic_workflow.store.store import Store

POLICY = load_policy(SHOP_POLICY)


TEXTS: dict[str, str] = {
    "refund": "Please refund order 59921.",
    "shipping": "Where is order 59921?",
    "spam": "You have won.",
}


def changed(folder: Path, old: str, new: str) -> Policy:
    text = SHOP_POLICY.read_text()
    assert old in text
    (folder / "policy.toml").write_text(text.replace(old, new))
    return load_policy(folder / "policy.toml")


def store_with(folder: Path, *cases: tuple[Category, Facts, str]) -> Store:
    """A store with cases of 2 March 2026, decided by the shop's policy."""
    store = Store(folder / "cases.sqlite", now=lambda: datetime(2026, 3, 2, 12, tzinfo=UTC))
    for number, (category, facts, over_limit) in enumerate(cases):
        mail = Mail(
            message_id=f"{number}@m",
            content_hash=str(number),
            sender="a@m.example",
            text=TEXTS[category],
            verified=True,
            spoken="en",
            warnings=(SPAM,) if category == "spam" else (),
        )
        record, _ = store.receive(mail)
        triage, day = Triage(category=category), record.received_at.date()
        decision = POLICY.decide(
            mail, screen(mail), triage, facts, over_limit=over_limit, today=day
        )
        store.update(record.id, triage=triage, facts=facts, decision=decision, status="closed")
    return store


def order(status: str, refundable: str, delivered_on: str = "") -> Facts:
    return Facts(
        customer_id="K1",
        order_id="59921",
        order_status=status,
        refundable=Decimal(refundable),
        delivered_on=delivered_on,
    )


def test_unchanged_policy_makes_no_difference(tmp_path: Path) -> None:
    cases = (
        ("refund", order("returned", "80"), ""),
        ("refund", order("delivered", "80", "2026-02-01"), ""),  # 29 days before the mail
        ("shipping", order("paid", "80"), "2 USD of 1 per day"),
        ("spam", Facts(), ""),
    )
    store = store_with(tmp_path, *cases)  # type: ignore[arg-type]
    assert simulate(store, POLICY) == []


def test_lower_threshold_changes_approval_and_rule(tmp_path: Path) -> None:
    store = store_with(
        tmp_path,
        ("refund", order("returned", "80"), ""),
        ("refund", order("returned", "40"), ""),
    )
    policy = changed(tmp_path, "amount_above = 100", "amount_above = 50")
    (difference,) = simulate(store, policy)
    assert difference.fields == ("approval", "rule")
    assert (difference.before.approval, difference.after.approval) == (False, True)
    assert difference.after.amount == Decimal(80)
    assert difference.after.policy_version == policy.version
    assert store.case(difference.case_id).decision == difference.before
