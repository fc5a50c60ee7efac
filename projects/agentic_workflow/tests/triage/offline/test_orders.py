import pytest

from agentic_workflow.triage.offline.orders import find_order


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
        ("Bestellung 31-77042 fehlt", "3177042"),
        ("my order 302-1234567-7654321 is late", "30212345677654321"),
        ("Commande 2025-33417 : où est-elle ?", "202533417"),
        ("You took it twice for GL-204418", "204418"),
        ("Bestellnr. 33 08 125 bitte", "3308125"),
        ("pedido número 55.120.334", "55120334"),
        ("order 10234 12 mugs", "10234"),
        ("Customer no.: 20099451\nOrder no.: 5093317\nMessage: hi", "5093317"),
        ("Teléfono: 612 004 877\nPedido: 118-4402", "1184402"),
        ("Bestellung vom 12.03.2025 ist nicht da", None),
        ("calle mayor 12 31001 pamplona, ou la Corse (20200)", None),
        ("Borren la tarjeta acabada en 8821", None),
        ("Invoice INV-204418", None),
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


def test_ticket_number_in_brackets_at_the_start_of_a_subject_is_not_an_order() -> None:
    assert find_order("Where is your delivery?", "[#4400] Your request") is None
    assert find_order("Any news?", "Re: [#4400] Your order 10234") == "10234"


def test_number_unlike_the_orders_of_the_thread_is_not_one() -> None:
    assert find_order("The Router 7590 fails", "Re: lamp", "> your order 3391775") == "3391775"
    assert find_order("The lamp 3391780 fails", "Re: lamp", "> your order 3391775") == "3391780"


def test_order_is_neither_a_vat_number_nor_a_telephone_without_area_code() -> None:
    assert find_order("Watering cans (2025-71440). VAT DE811999888. Ann, 555-0147") == "202571440"
    assert find_order("The scooter hisses.\n\nCurtis, 555-0147") is None
