"""Dates, amounts, currencies and numbers in text."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_app.extract.values import (
    Context,
    find_amounts,
    find_currencies,
    find_dates,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("le 3 mars 2024", "2024-03-03"),
        ("2024. március 5.", "2024-03-05"),
        ("12 stycznia 2024", "2024-01-12"),
        ("March 3rd, 2024", "2024-03-03"),
        ("2024.03.05", "2024-03-05"),
        ("18.06.202418:02", "2024-06-18"),
        ("26.11.2408:39", "2024-11-26"),
    ],
)
def test_date_becomes_iso(text: str, expected: str) -> None:
    [value] = find_dates(text)
    assert Context().date(value) == expected


@pytest.mark.parametrize("text", ["12 rue 2024", "31/02/2024", "192.168.10.1", "45.99.12"])
def test_number_that_is_not_a_date_is_ignored(text: str) -> None:
    assert find_dates(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.234,56 €", "1234.56"),
        ("1,234.56", "1234.56"),
        ("1 234,56 kr", "1234.56"),
        ("1'284.50", "1284.50"),
        ("1,23,456.00", "123456.00"),
        ("Rp 150.000", "150000"),
        ("Rs. 1,200/-", "1200"),
        ("CHF 12.-", "12"),
        ("Rp47.410", "47410"),
        ("12,00-", "-12.00"),
        ("(45.00)", "-45.00"),
    ],
)
def test_amount_with_either_separator_is_read(text: str, expected: str) -> None:
    [value] = find_amounts(text)
    assert value.readings[""] == Decimal(expected)


@pytest.mark.parametrize("text", ["19 %", "14:22", "INV-0045"])
def test_number_that_is_not_an_amount_is_ignored(text: str) -> None:
    assert find_amounts(text) == []


@pytest.mark.parametrize(
    ("text", "codes"),
    [("RM 5", ["MYR"]), ("5,00 zł", ["PLN"]), ("R$ 5", ["BRL"]), ("CHF", ["CHF"]), ("TPE 31", [])],
)
def test_currency_is_found_by_symbol_or_code(text: str, codes: list[str]) -> None:
    assert [code for value in find_currencies(text) for code in value.readings] == codes


@pytest.mark.parametrize(
    ("address", "currency", "date"),
    [
        ("Austin, TX 78701", "USD", "2024-03-04"),
        ("Toronto ON M5V 2T6", "CAD", "2024-04-03"),
        ("Cairns QLD 4870", "AUD", "2024-04-03"),
        ("Singapore 098585", "SGD", "2024-04-03"),
    ],
)
def test_country_decides_dollar_and_order_of_date(address: str, currency: str, date: str) -> None:
    context = Context.of(address)
    [dollar], [value] = find_currencies("$ 5"), find_dates("03/04/24")
    assert context.currency(dollar.readings) == currency
    assert context.date(value) == date


def test_other_date_on_the_page_decides_order() -> None:
    context = Context.of("03/04/24\nDue 03/28/24")
    assert context.date(find_dates("03/04/24")[0]) == "2024-03-04"


def test_krona_without_country_has_no_currency() -> None:
    [krona] = find_currencies("5,00 kr")
    assert Context().currency(krona.readings) is None
    assert Context.of("Bankgiro 123-4567").currency(krona.readings) == "SEK"


@given(
    mark=st.characters(categories=["P", "S"], exclude_characters="%@#()€$£¥=*+-–—−.,'’`´"),
    whole=st.integers(1, 999),
    rest=st.integers(100, 999),
)
def test_amount_never_ends_at_an_unknown_mark_between_digits(
    mark: str, whole: int, rest: int
) -> None:
    values = [value.readings[""] for value in find_amounts(f"Total {whole}{mark}{rest}.75")]
    assert Decimal(whole) not in values


@pytest.mark.parametrize("text", ["CHF 3`949.75", "3´949.75", "3’949.75", "3'949.75"])
def test_every_apostrophe_separates_thousands(text: str) -> None:
    [value] = find_amounts(text)
    assert value.readings[""] == Decimal("3949.75")
