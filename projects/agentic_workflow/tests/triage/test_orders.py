import pytest

from agentic_workflow.triage.orders import find_order


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("Where is my order 10234?", "10234"),
        ("It is about #10234.", "10234"),
        ("ORD-10234 came broken", "10234"),
        ("Es geht um die Bestellung Nr. 10234.", "10234"),
        ("Bestellnummer: 10234", "10234"),
        ("Ma commande n° 10234 n'est pas arrivée.", "10234"),
        ("El pedido núm. 10234 no ha llegado", "10234"),
        ("Invoice 88123 for order 10234 is wrong", "10234"),
        ("Rechnung zu 77331 stimmt nicht", "77331"),
        ("Order 10234 arrived fine, but order 10240 is missing.", "10240"),
        ("Nicht die 10234, die ist da. Es geht um die 10240.", "10240"),
        ("Orders 10234 and 10240: the 10240 is late", "10240"),
        ("Tracking 00340434161094042557, invoice 2026-4471, customer number 558812", None),
        ("Call me on 0151 23456789. I live in 10115 Berlin, 70173 Stuttgart", None),
        ("We paid 12000 EUR in 2025", None),
        ("the KX-3000 needs 1500 W", None),
    ],
)
def test_order_is_told_from_other_numbers(text: str, order: str | None) -> None:
    assert find_order(text) == order


def test_order_of_the_text_wins_over_subject_and_thread() -> None:
    assert find_order("It is order 10240.", "order 10234", "order 10111") == "10240"
    assert find_order("Any news?", "Re: order 10234", "order 10111") == "10234"
    assert find_order("Any news?", "Re: hello", "> about order 10111") == "10111"
