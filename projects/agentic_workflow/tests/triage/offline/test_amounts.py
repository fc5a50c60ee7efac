from decimal import Decimal

import pytest

from agentic_workflow.triage.offline.amounts import find_amount


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("Bitte erstatten Sie 1.150,00 €", "1150.00", "EUR"),
        ("Please refund EUR 1,150.00.", "1150.00", "EUR"),
        ("that is what you owe me, so EUR 258.00 altogether", "258.00", "EUR"),
        ("remboursez-moi 1 150 €", "1150", "EUR"),
        ("Ich möchte 1'150 CHF zurück", "1150", "CHF"),
        ("Devuélvanme los 12'50 € del envío", "12.50", "EUR"),
        ("Ich möchte 1'150'000.50 CHF zurück", "1150000.50", "CHF"),
        ("100 Euro und 50 Cent zurück bitte", "100.50", "EUR"),
        ("refund the 129.90", "129.90", None),
        ("I want my $49 back", "49", "USD"),
        ("I was charged 59.90 € twice", "59.90", "EUR"),
        ("The order was 112.30 €. Please refund the book, 12.50 €.", "12.50", "EUR"),
        ("Four plates at 12.50 EUR chipped, that is 50.00 EUR to refund.", "50.00", "EUR"),
        ("Am 3. und am 5. wurden je 130,00 € abgebucht, eine davon zurück.", "130.00", "EUR"),
        ("La remise de 20 € n'y est pas : remboursez-moi 20 € de remise.", "20", "EUR"),
        ("Six cups at 9 €, together 54 €. Two broke: the 18 € I want back.", "18", "EUR"),
        ("Bike 890 €, lock 45 €, both fine. I return the bike: 890 € back please.", "890", "EUR"),
        ("The radio was 27 euros. Give me back the debit of 33.40 as well.", "33.40", None),
    ],
)
def test_amount_is_the_sum_asked_for(text: str, value: str, currency: str | None) -> None:
    amount = find_amount(text, claim=True)
    assert amount is not None
    assert (amount.value, amount.currency) == (Decimal(value), currency)


@pytest.mark.parametrize(
    "text",
    [
        "Is the lamp for 49.90 € in stock?",
        "My voucher over 25 € is rejected",
        "The app stops at 10.30 Uhr",
        "Bitte ab dem 24.07. an die Nachbarin liefern",
        "call a few euros a bargain",
    ],
)
def test_amount_is_missing_where_nothing_is_asked_for(text: str) -> None:
    assert find_amount(text, claim=False) is None
