from decimal import Decimal

import pytest

from agentic_workflow.triage.amounts import find_accepted, find_amount, with_digits


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("Bitte erstatten Sie 1.150,00 €", "1150.00", "EUR"),
        ("Please refund EUR 1,150.00.", "1150.00", "EUR"),
        ("that is what you owe me, so EUR 258.00 altogether", "258.00", "EUR"),
        ("remboursez-moi 1 150 €", "1150", "EUR"),
        ("Ich möchte 1'150 CHF zurück", "1150", "CHF"),
        ("100 Euro und 50 Cent zurück bitte", "100.50", "EUR"),
        ("refund the 129.90", "129.90", None),
        ("I want my $49 back", "49", "USD"),
        ("I want a hundred and fifty euros back", "150", "EUR"),
        ("devuélvanme ciento cincuenta euros", "150", "EUR"),
        ("Me rembourser la moitié de 240 €", "120", "EUR"),
        ("I was charged 59.90 € twice", "59.90", "EUR"),
        ("You charged 89.90 € instead of 59.90 €, refund the difference", "30.00", "EUR"),
        ("Refund both: the lamp for 39.90 € and the cable for 25.00 €", "64.90", "EUR"),
        ("Schuhe 120,50 € und Tasche 60,00 €, zusammen 180,50 € zurück", "180.50", "EUR"),
        ("blender for seventy nine ninety five, I want that money back", "79.95", None),
        ("Costó 135,60 € y cobraron 235,60 €; la diferencia, cien euros exactos", "100", "EUR"),
        ("Two dresses went back, 49.95 € each. When do I get the refund?", "99.90", "EUR"),
        ("I returned both coats, 64.00 € each. Where is my refund?", "128.00", "EUR"),
        ("The order was 112.30 €. Please refund the book, 12.50 €.", "12.50", "EUR"),
        ("Pagué 199,00 € y devolvisteis 150,00 €. Faltan 49 €.", "49", "EUR"),
        ("It lists twelve (768.00 EUR), which is 128.00 EUR too much.", "128.00", "EUR"),
        ("Me cobraron 310,00 € en vez de 290,00 €, son 20 € de más.", "20", "EUR"),
        ("Four plates at 12.50 EUR chipped, that is 50.00 EUR to refund.", "50.00", "EUR"),
        ("Am 3. und am 5. wurden je 130,00 € abgebucht, eine davon zurück.", "130.00", "EUR"),
        ("Preis 420,00 €, dazu 7,90 € Zuschlag, den ich nie gewählt habe.", "7.90", "EUR"),
        ("La remise de 20 € n'y est pas : remboursez-moi 20 € de remise.", "20", "EUR"),
        ("Six cups at 9 €, together 54 €. Two broke: the 18 € I want back.", "18", "EUR"),
        ("Bike 890 €, lock 45 €, both fine. I return the bike: 890 € back please.", "890", "EUR"),
        ("Six bowls at 18 € each. Please refund me the two that broke.", "36", "EUR"),
        ("J'ai renvoyé les tasses, 30 € pièce. Merci de rembourser les quatre.", "120", "EUR"),
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


def test_number_words_of_four_languages_become_digits() -> None:
    spelled = {
        "zweihundertneunzig": "290",
        "quatre-vingt-dix-neuf euros": "99 euros",
        "mil doscientos": "1200",
        "two hundred and ten": "210",
        "seventy nine ninety five": "79.95",
        "neunundvierzig euro neunzig zuruck": "49 euro 90 zuruck",
        "cuarenta y nueve con noventa": "49.90",
        "one of them, once, a day": "one of them, once, a day",
    }
    assert [with_digits(text) for text in spelled] == list(spelled.values())


@pytest.mark.parametrize(
    ("acceptance", "value"),
    [
        ("die zweite variante, bitte", "40.00"),
        ("option 1", "189.00"),
        ("vale, los 40", "40.00"),
        ("yes, agreed", "189.00"),
        ("the third one", None),
    ],
)
def test_accepted_sum_is_the_one_that_the_answer_chooses(
    acceptance: str, value: str | None
) -> None:
    offer = "> 1) a refund of 189.00 EUR\n> 2) keep it and get 40.00 EUR\n> 3) a voucher of 50 EUR"
    amount = find_accepted(acceptance, offer)
    assert (amount and amount.value) == (Decimal(value) if value else None)
