"""Checks of exercise 3: which replies are refused, and for what reason."""

from agentic_workflow.case import Decision, Facts, Mail, Passage, Triage
from agentic_workflow.reply.letter import Case
from agentic_workflow.reply.verify import problem

TEXT = "I paid 54 with 4111 1111 1111 1111, see https://shop.example/orders for it. Where is it?"
THREAD = "> See https://old.example/offer for 777 EUR."
MAIL = Mail(message_id="m", content_hash="h", sender="", subject="4711", text=TEXT, quoted=THREAD)
FACTS = Facts(order_id="59921", ordered_on="2026-02-20", expected_on="2026-03-04", total=1154.8)
RULE = Passage(source="shipping §1", text="We refund lost parcels. Write to service@shop.example.")
LIMIT = Passage(source="limit §54", text="Our key is AKIAIOSFODNN7EXAMPLE.")
ASK = Decision(action="ask", approval=False, rule="r")
REFUND = Decision(action="refund", approval=False, rule="r", amount=54)
PART = Decision(action="refund", approval=False, rule="r", amount="20.55")  # not in the case


def expect(quote: str, body: str, *citations: str, decision: Decision = ASK) -> str:
    """`quote` is a part of the reason; "" if the reply is right, " " for any reason."""
    case = Case(MAIL, Triage(category="shipping"), FACTS, decision, [RULE, LIMIT])
    reason = problem(body, citations, case)
    right = quote.lower() in reason.lower() and (quote or not reason)
    assert right, f"{body!r}, citations {citations}: expected reason {quote!r}, got {reason!r}"
    return reason


def check_1_only_rules_of_the_case_are_cited() -> None:
    expect("", "It is late [shipping §1].", "shipping §1")
    expect("shipping §9", "It is late [shipping §9].", "shipping §1")
    expect("shipping §", "It is late.", "shipping §")
    expect("Shipping §1", "It is late [Shipping §1].")


def check_2_no_placeholder_and_no_private_data() -> None:
    expect("[Name]", "Hello [Name], it is late.")
    reason = expect(" ", "Your card is 4111 1111 1111 1111.")
    assert "4111" not in reason, f"expected a reason without the number of the card, got {reason!r}"
    expect(" ", "Your key is AKIAIOSFODNN7EXAMPLE.")


def check_3_links_are_those_of_the_case() -> None:
    expect("", "Your order no. 4711 is late, see https://Shop.example/orders.")
    expect("https://shop.example/invented", "See https://shop.example/invented")


def check_4_numbers_have_the_value_of_one_in_the_case() -> None:
    expect("", "Order 59921 of 20 February 2026: 1,154.80 EUR. You paid 54.0, it comes on March 4.")
    for number in ("20 March", "4 days", "777 EUR", "54.90 EUR", "1 lamp", "2 lamps", "3 lamps"):
        expect(number.split()[0], f"Order 59921: {number}.")


def check_5_a_refund_is_stated_and_nothing_else_is_promised() -> None:
    expect("", "We will refund 54.00 EUR.", decision=REFUND)
    expect("", "We will refund 20.55 EUR.", decision=PART)
    expect("54", "We refund what you paid for order 59921.", decision=REFUND)
    expect("54", "You paid 1,154.80. We refund it [limit §54].", decision=REFUND)
    expect("refund", "Sorry, we will refund it.")
    expect("", f"{RULE.text} [shipping §1]")
