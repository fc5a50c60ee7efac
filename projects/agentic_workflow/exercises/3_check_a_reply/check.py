"""Checks of exercise 3: which replies are refused, and for what reason."""

from collections.abc import Sequence
from decimal import Decimal

from agentic_workflow.decide.letter import Case
from agentic_workflow.decide.verify import problem
from agentic_workflow.store.case import Decision, Facts, Mail, Passage, Triage

IBAN = "DE89 3704 0044 0532 0130 00"
CARD = "4111 1111 1111 1111"
SECRET = "AKIAIOSFODNN7EXAMPLE"
MAIL = Mail(
    message_id="m",
    content_hash="h",
    sender="tom@mail.example",
    subject="lamp no. 4711",
    text=f"I paid 54.80 from {IBAN}, as https://shop.example/orders says. Is it on its way? "
    f"My card is {CARD}, my key {SECRET}.",
    quoted="> See https://old.example/offer for 777 EUR.",
)
FACTS = Facts(
    customer_id="K",
    customer_name="Tom Baker",
    order_id="59921",
    order_status="shipped",
    ordered_on="2026-02-20",
    expected_on="2026-03-04",
    carrier="PostLink",
    total=Decimal("1154.80"),
    refundable=Decimal("1154.80"),
)
PROMISE = "We refund lost parcels within 7 days."
RULE = Passage(source="shipping §1", text=f"{PROMISE} Write to service@shop.example.")
OTHER_RULE = Passage(source="returns §12", text="Returns are free.")
REPLY = Decision(action="reply", approval=False, rule="r")
REFUND = Decision(action="refund", approval=False, rule="r", amount=Decimal("1154.80"))


def check(
    body: str, citations: Sequence[str] = (), decision: Decision = REPLY, language: str = "en"
) -> str:
    mail = MAIL.model_copy(update={"language": language})
    case = Case(mail, Triage(category="shipping"), FACTS, decision, [RULE, OTHER_RULE])
    result = problem(body, citations, case)
    assert isinstance(result, str), f"{body!r}: expected a string, got {result!r}"
    return result


def expect_accepted(
    body: str, citations: Sequence[str] = (), decision: Decision = REPLY, language: str = "en"
) -> None:
    result = check(body, citations, decision, language)
    assert result == "", f"{body!r} with citations {citations}: expected '', got {result!r}"


def expect_refused(
    body: str,
    quote: str,
    citations: Sequence[str] = (),
    decision: Decision = REPLY,
    language: str = "en",
) -> None:
    """`quote` is what the reason must contain."""
    result = check(body, citations, decision, language)
    case = f"{body!r} with citations {citations}: expected a reason"
    assert result, f"{case}, got ''"
    assert quote.lower() in result.lower(), f"{case} that quotes {quote!r}, got {result!r}"


def check_1_a_rule_that_was_not_found_must_not_be_cited() -> None:
    expect_refused("It is late [shipping §9].", "shipping §9")
    expect_refused("It is late.", "shipping §9", ["shipping §9"])
    expect_refused("It is late [shipping §1].", "returns §2", ["shipping §1", "returns §2"])
    expect_refused("It is late [shipping §9].", "shipping §9", ["shipping §1"])


def check_1_a_source_is_cited_as_a_whole_and_as_it_is_written() -> None:
    expect_refused("It is late.", "shipping §", ["shipping §"])
    expect_refused("It is late.", "returns §1", ["returns §1"])
    expect_refused("It is late [Shipping §1].", "Shipping §1")


def check_1_the_rules_of_the_case_may_be_cited() -> None:
    expect_accepted("It is late.", ["shipping §1"])
    expect_accepted("It is late.")


def check_2_a_placeholder_is_refused() -> None:
    expect_refused("Hello [Name], it is late.", "[Name]")
    expect_refused("It arrives on {date}.", "{date}")


def check_2_a_citation_is_not_a_placeholder() -> None:
    expect_accepted("It is late [shipping §1].", ["shipping §1"])


def check_2_private_data_are_refused() -> None:
    for kind, data in (("account", IBAN), ("card", CARD), ("key", SECRET)):
        body = f"We know your {kind} {data}."
        expect_refused(body, "")
        reason = check(body)
        assert data not in reason, f"{body!r}: expected a reason without {data!r}, got {reason!r}"


def check_2_the_address_of_the_shop_is_not_private() -> None:
    expect_accepted("You can write to service@shop.example")


def check_3_a_link_that_is_not_in_the_case_is_refused() -> None:
    expect_refused("See https://tracker.example/lamp", "https://tracker.example/lamp")
    expect_refused("Write to boss@shop.example", "boss@shop.example")
    expect_refused("See tracker.example for more", "tracker.example")
    expect_refused("See https://shop.example/invented", "https://shop.example/invented")


def check_3_the_case_has_the_subject_and_not_the_quoted_thread() -> None:
    expect_accepted("Your lamp no. 4711 is late.")
    expect_refused("See https://old.example/offer for it", "https://old.example/offer")
    expect_refused("It cost 777 EUR.", "777")


def check_3_the_case_has_the_decision() -> None:
    part = REFUND.model_copy(update={"amount": Decimal("20.55")})
    expect_accepted("We will refund 20.55 EUR.", decision=part)


def check_3_a_link_may_end_a_sentence() -> None:
    expect_accepted("You see it at https://shop.example/orders.")
    expect_accepted("Write to service@shop.example, please.")


def check_3_upper_and_lower_case_are_equal() -> None:
    expect_accepted("You see it at https://Shop.example/Orders")


def check_4_a_number_that_is_not_in_the_case_is_refused() -> None:
    expect_refused("You paid 54.90.", "54.90")
    expect_refused("The total is 1.154,81 EUR.", "1.154,81")
    expect_refused("Your order 59922 is late.", "59922")
    expect_refused("Order 59921 was 1,154.80 EUR, and 999 more.", "999")


def check_4_numbers_are_compared_by_their_value() -> None:
    expect_accepted("Order 59921: 1,154.80 EUR, of which you paid 54.8 EUR.")
    expect_accepted("Das sind 1.154,80 EUR.", language="de")


def check_4_numbers_of_the_rules_may_be_stated() -> None:
    expect_accepted("Please wait 7 days.")


def check_4_dates_of_the_case_may_be_written_in_any_form() -> None:
    expect_accepted("You ordered on 20 February 2026, and it arrives on March 4.")
    expect_accepted("Sie kommt am 4. März 2026.", language="de")


def check_4_parts_of_a_date_allow_no_other_number() -> None:
    expect_refused("It arrives on 20 March.", "20")
    expect_refused("It takes 4 days.", "4")


def check_5_a_refund_states_its_amount() -> None:
    expect_refused("We refund what you paid.", "1154.80", decision=REFUND)
    expect_refused("We refund 54.80 EUR.", "1154.80", decision=REFUND)
    expect_refused("We refund order 59921.", "1154.80", decision=REFUND)
    expect_accepted("We will refund 1,154.80 EUR.", decision=REFUND)


def check_5_a_promise_without_a_decision_is_refused() -> None:
    expect_refused("Sorry, we will refund it.", "refund")
    expect_refused("We will send a replacement.", "replac")
    expect_refused("Wir erstatten den Betrag.", "erstatte", language="de")
    for action in ("ask", "hand_over", "ignore"):
        decision = REPLY.model_copy(update={"action": action})
        expect_refused("Sorry, we will refund it.", "refund", decision=decision)


def check_5_the_rules_of_the_shop_may_promise() -> None:
    expect_accepted(f"{RULE.text} [shipping §1]")
    expect_refused(f"{RULE.text} So we will refund 54.80 to you.", "refund")
