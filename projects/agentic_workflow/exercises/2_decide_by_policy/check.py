"""Checks of exercise 2: decisions under small policies, some of which would do everything alone."""

from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from agentic_workflow.decide.policy import LIMIT_EXCEEDED, Policy
from agentic_workflow.decide.shop import FOREIGN_ORDER
from agentic_workflow.store.case import Decision, Facts, Mail, Screening, Triage

MAIL = Mail(message_id="m", content_hash="h", sender="tom@mail.example", text="…")
AUTOMATIC = MAIL.model_copy(update={"automatic": True})
REFUND = Triage(category="refund")
PAID = Decimal(50)
ORDER = Facts(
    customer_id="K1",
    order_id="59921",
    order_status="returned",
    delivered_on="2026-02-01",
    total=PAID,
    refundable=PAID,
    charges=1,
)
DELIVERED = ORDER.model_copy(update={"order_status": "delivered"})
TWICE = DELIVERED.model_copy(update={"charges": 2, "refundable": 2 * PAID})
DAY = date(2026, 3, 2)  # 29 days after the delivery
LIMIT = "30 tokens of 20"


def rule(name: str, action: str = "reply", approval: bool = False, **when: Any) -> dict[str, Any]:
    why = f"Because of {name}."
    return {"name": name, "when": when, "action": action, "approval": approval, "why": why}


def policy(*rules: dict[str, Any]) -> Policy:
    limits = {
        "case": {"tokens": 9, "cost_usd": 1},
        "day": {"cases": 9, "tokens": 9, "cost_usd": 1},
    }
    approval = {"deadline_hours": 2, "default": "reject"}
    retry = {"attempts": 3, "first_seconds": 1}
    settings = {"limits": limits, "approval": approval, "retry": retry}
    return Policy.model_validate({"version": "7", **settings, "rule": list(rules)})


def decide(
    rules: Policy,
    *,
    mail: Mail = MAIL,
    screening: Screening | None = None,
    triage: Triage = REFUND,
    facts: Facts = ORDER,
    **more: Any,
) -> Decision:
    options = {"today": DAY, **more}
    decision = rules.decide(mail, screening or Screening(), triage, facts, **options)
    assert isinstance(decision, Decision), f"the result: expected a Decision, got {decision!r}"
    return decision


def always(action: str) -> Policy:
    """A policy that takes this action whatever the case, without a person."""
    return policy(rule("always", action))


def expect(actual: object, expected: object, what: str) -> None:
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def expect_condition(when: dict[str, Any], meets: bool, case: str, **values: Any) -> None:
    rules = policy(rule("if", **when), rule("else"))
    condition = ", ".join(f"{name} = {value}" for name, value in when.items())
    chosen = decide(rules, **values).rule
    expect(chosen, "if" if meets else "else", f"a rule with {condition}, and {case}")


def values_of(**case: Any) -> dict[str, Any]:
    """The values that `decide` passes to the conditions of a rule."""
    seen: dict[str, Any] = {}
    note: Any = SimpleNamespace(applies=lambda values: bool(seen.update(values) or True))
    rules = always("reply")
    only = rules.rules[0].model_copy(update={"when": note})
    decide(rules.model_copy(update={"rules": (only,)}), **case)
    return seen


def check_1_fields_of_facts_triage_and_screening_are_values() -> None:
    when = {"category": "refund", "order_status": "returned", "injection": True}
    screening = Screening(injection="asks to ignore the rules")
    expect_condition(when, True, "a case like that", screening=screening)
    expect_condition(when, False, "no injection")


def check_1_spam_is_what_screening_or_triage_says() -> None:
    spam = Triage(category="spam")
    expect_condition({"spam": True}, True, "spam by the screening", screening=Screening(spam=True))
    expect_condition({"spam": True}, True, "spam by the triage", triage=spam)
    expect_condition({"spam": True}, False, "a mail that is not spam")


def check_1_automatic_and_over_limit_are_values() -> None:
    expect_condition({"automatic": True}, True, "an automatic mail", mail=AUTOMATIC)
    expect_condition({"automatic": True}, False, "another mail")
    expect_condition({"over_limit": True}, True, "an exceeded limit", over_limit=LIMIT)
    expect_condition({"over_limit": True}, False, "no exceeded limit")


def check_1_the_order_is_known_from_the_facts() -> None:
    names_order = Triage(category="refund", order_id="10234")
    stranger = Facts(warnings=("order 10234 belongs to another customer",))
    expect_condition({"order_known": True}, True, "the sender's order")
    case = "a stranger who names an order"
    expect_condition({"order_known": True}, False, case, triage=names_order, facts=stranger)


def check_1_a_refund_is_due_after_a_return_or_a_double_charge() -> None:
    due, billing = {"refund_due": True}, Triage(category="billing")
    refunded = ORDER.model_copy(update={"refundable": Decimal(0)})
    expect_condition(due, True, "a returned order")
    expect_condition(due, False, "an order that was refunded already", facts=refunded)
    expect_condition(due, False, "an order that the sender still has", facts=DELIVERED)
    expect_condition(due, True, "an order paid twice", facts=TWICE, triage=billing)


def check_1_the_amount_is_the_larger_one_of_request_and_refund() -> None:
    large = {"amount_above": 40}
    for amount, case in ((None, "a refund of 50"), (Decimal(10), "10 of 50 asked for")):
        triage = Triage(category="refund", amount=amount)
        expect_condition(large, amount is None, case, triage=triage)
    asks = Triage(category="refund", amount=Decimal(80))
    expect_condition({"amount_above": 60}, True, "80 asked for, 50 paid", triage=asks)
    expect_condition({"amount_at_most": 999}, False, "no amount at all", facts=Facts())
    disputes = Triage(category="billing", amount=Decimal(10))
    case = "10 disputed, 50 paid twice"
    expect_condition(large, True, case, facts=TWICE, triage=disputes)


def check_1_days_count_from_the_delivery() -> None:
    late = {"delivered_days_above": 29}
    expect_condition(late, False, "29 days since the delivery")
    expect_condition(late, True, "30 days since the delivery", today=DAY + timedelta(days=1))
    long_ago = ORDER.model_copy(update={"delivered_on": "2020-01-01T12:00:00"})
    expect_condition(late, True, "a delivery in 2020, and no `today`", facts=long_ago, today=None)
    not_yet = ORDER.model_copy(update={"delivered_on": ""})
    expect_condition(late, False, "no delivery", facts=not_yet)
    days = values_of(facts=not_yet).get("delivered_days", "nothing")
    expect(days, None, "no delivery: the value `delivered_days`")


def check_2_the_first_rule_that_applies_decides() -> None:
    rules = policy(
        rule("first", "ask", category="billing"),
        rule("second", "refund", category="refund"),
        rule("third", "hand_over", approval=True, order_status="returned"),
        rule("last", "reply"),
    )
    decision = decide(rules)
    actual = (decision.rule, decision.action, decision.approval)
    expect(actual, ("second", "refund", False), "rules 2, 3 and 4 of 4 apply: rule and decision")


def check_3_an_automatic_mail_is_always_ignored() -> None:
    for action in ("reply", "refund", "ask", "hand_over"):
        expect(decide(always(action), mail=AUTOMATIC).action, "ignore", f"automatic, {action}")
    bounce = AUTOMATIC.model_copy(update={"sender": ""})
    expect(decide(always("reply"), mail=bounce).action, "ignore", "automatic, without a sender")


def check_3_a_mail_without_sender_is_handed_over() -> None:
    mail = MAIL.model_copy(update={"sender": ""})
    for action in ("reply", "refund", "ask"):
        decision = decide(always(action), mail=mail)
        expect(decision.action, "hand_over", f"no sender, {action}")
        expect(len(decision.reasons) > 1, True, f"no sender, {action}: another reason")
    expect(decide(always("ignore"), mail=mail).action, "ignore", "no sender, ignore")


def check_3_a_refund_of_nothing_is_handed_over() -> None:
    for field in ("customer_id", "order_id", "refundable"):
        facts = ORDER.model_copy(update={field: None})
        decision = decide(always("refund"), facts=facts)
        expect(decision.action, "hand_over", f"a refund without {field}")
        expect(len(decision.reasons) > 1, True, f"a refund without {field}: another reason")
        expect(decide(always("reply"), facts=facts).action, "reply", f"a reply without {field}")


def check_4_a_person_approves_what_the_rule_leaves_to_one_and_what_is_handed_over() -> None:
    for approval in (True, False):
        decision = decide(policy(rule("all", "reply", approval)))
        expect(decision.approval, approval, f"a rule with approval = {approval}: approval")
    expect(decide(always("hand_over")).approval, True, "hand_over: approval")
    decision = decide(always("refund"), facts=Facts())
    expect(decision.approval, True, "a refund that became hand_over: approval")


def check_4_safeguards_need_a_person_whatever_the_rule_says() -> None:
    cases: dict[str, dict[str, Any]] = {
        "an injection": {"screening": Screening(injection="asks to ignore the rules")},
        "a legal threat": {"triage": Triage(category="refund", needs_approval=True)},
        "the order of another": {"facts": Facts(warnings=(f"order 1 {FOREIGN_ORDER}",))},
        "an exceeded limit": {"over_limit": LIMIT},
        "spam that is an injection": {"screening": Screening(spam=True, injection="…")},
    }
    for case, values in cases.items():
        decision = decide(always("reply"), **values)
        expect(decision.approval, True, f"{case}, reply without approval: approval")
    for action in ("ignore", "ask", "refund"):
        for case in ("a legal threat", "an exceeded limit"):
            decision = decide(always(action), **cases[case])
            expect(decision.approval, True, f"{case}, {action} without approval: approval")


def check_4_ignored_spam_needs_no_person() -> None:
    triage = Triage(category="spam", needs_approval=True)
    screening = Screening(spam=True, injection="asks to ignore the rules")
    decision = decide(always("ignore"), triage=triage, screening=screening)
    expect(decision.approval, False, "spam with an injection, ignore: approval")


def check_4_other_reasons_for_a_person_count_for_ignored_spam_too() -> None:
    spam = Screening(spam=True)
    decision = decide(policy(rule("all", "ignore", True)), screening=spam)
    expect(decision.approval, True, "spam, a rule with approval = true, ignore: approval")
    decision = decide(always("ignore"), screening=spam, over_limit=LIMIT)
    expect(decision.approval, True, "spam, an exceeded limit, ignore: approval")


def check_4_a_refund_below_the_amount_asked_for_needs_a_person() -> None:
    for amount, approval in ((Decimal(80), True), (PAID, False), (Decimal(20), False)):
        triage = Triage(category="refund", amount=amount)
        decision = decide(always("refund"), triage=triage)
        expect(decision.approval, approval, f"{amount} asked for, {PAID} paid: approval")
    part = ORDER.model_copy(update={"total": 2 * PAID})
    decision = decide(always("refund"), facts=part, triage=Triage(category="refund", amount=80))
    expect(decision.approval, True, "80 asked for, 100 paid, 50 of it refundable: approval")
    disputes = Triage(category="billing", amount=Decimal(10))
    decision = decide(always("refund"), facts=TWICE, triage=disputes)
    expect(decision.approval, False, "10 disputed, 50 paid twice, all 50 refunded: approval")


def check_5_only_a_refund_has_an_amount() -> None:
    triage = Triage(category="refund", amount=Decimal(80))
    decision = decide(always("refund"), triage=triage)
    expect(decision.amount, PAID, "80 asked for, 50 paid, refund: the amount")
    expect(decide(always("reply")).amount, None, "reply: the amount")
    mail = MAIL.model_copy(update={"sender": ""})
    expect(decide(always("refund"), mail=mail).amount, None, "no sender, refund: the amount")


def check_5_the_reasons_begin_with_that_of_the_rule_and_contain_the_others() -> None:
    decision = decide(always("refund"), facts=Facts(), over_limit=LIMIT)
    why = "Because of always."
    expect(decision.reasons[:1], (why,), "the first reason")
    case = "nothing to refund, and an exceeded limit: the number of reasons"
    expect(len(decision.reasons), 3, case)
    less = decide(always("refund"), triage=Triage(category="refund", amount=Decimal(80)))
    expect(len(less.reasons), 2, "80 asked for, 50 refunded: the number of reasons")
    limits = [text for text in decision.reasons if text.startswith(LIMIT_EXCEEDED)]
    expect(any(LIMIT in text for text in limits), True, f"a reason with {LIMIT_EXCEEDED}{LIMIT}")


def check_5_rule_currency_and_version_are_noted() -> None:
    facts = ORDER.model_copy(update={"currency": "CHF"})
    decision = decide(always("reply"), facts=facts)
    actual = (decision.rule, decision.currency, decision.policy_version)
    expect(actual, ("always", "CHF", "7"), "rule, currency and version of the policy")
    triage = Triage(category="other", currency="EUR")
    currency = decide(always("reply"), facts=facts, triage=triage).currency
    expect(currency, "CHF", "facts in CHF, a mail that names EUR: the currency")
