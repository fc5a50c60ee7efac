from datetime import date

import pytest

from multi_agent.offline.sql.link import link
from multi_agent.offline.sql.value_index import ValueIndex
from multi_agent.offline.sql.words import name_words, tokenize


@pytest.fixture
def links(clinic):
    values = ValueIndex(clinic)
    return lambda text: link(tokenize(text), clinic.schema, values, today=date(2025, 6, 15))


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        ("2024", date(2024, 1, 1), date(2025, 1, 1)),
        ("May 2025", date(2025, 5, 1), date(2025, 6, 1)),
        ("3 May 2025", date(2025, 5, 3), date(2025, 5, 4)),
        ("December 31, 2024", date(2024, 12, 31), date(2025, 1, 1)),
        ("2025-02-28", date(2025, 2, 28), date(2025, 3, 1)),
        ("the second quarter of 2024", date(2024, 4, 1), date(2024, 7, 1)),
        ("Q4 2024", date(2024, 10, 1), date(2025, 1, 1)),
        ("the first half of 2024", date(2024, 1, 1), date(2024, 7, 1)),
        ("the 1990s", date(1990, 1, 1), date(2000, 1, 1)),
        ("last month", date(2025, 5, 1), date(2025, 6, 1)),
        ("this year", date(2025, 1, 1), date(2026, 1, 1)),
    ],
)
def test_date_phrase_is_a_span_of_days(links, text, first, end):
    assert [one.dates for one in links(text)] == [(first, end)]


def test_date_without_a_year_takes_that_of_the_range(links):
    spans = [one.dates for one in links("between 1 May and 3 June 2025") if one.dates]
    assert spans == [
        (date(2025, 5, 1), date(2025, 5, 2)),
        (date(2025, 6, 3), date(2025, 6, 4)),
    ]


def test_impossible_day_is_not_a_date(links):
    assert [one.text for one in links("30 February 2025") if one.dates] == ["february 2025"]


def test_longest_phrase_wins(links):
    assert [one.text for one in links("birth date")] == ["birth date"]
    assert "no more than" in [one.text for one in links("no more than 3")]


def test_negation_inside_a_value_is_not_a_negation(links):
    (one,) = links("no-shows")
    assert [value.value for value in one.values] == ["no-show"]


@pytest.mark.parametrize(
    ("text", "value"),
    [("Norway", "NO"), ("Italian", "IT"), ("female", "F"), ("men", "M"), ("Anna", "Anna")],
)
def test_values_have_aliases(links, text, value):
    assert value in [one.value for one in links(text)[0].values]


def test_names_are_split_and_abbreviations_written_out():
    assert [w.text for w in name_words("CustQty")] == ["customer", "quantity"]
    assert [w.text for w in name_words("tbl_order_no")] == ["order", "number"]


def test_contractions_and_possessives_are_words():
    assert [w.text for w in tokenize("Anna's visits didn't end")] == [
        "anna",
        "visits",
        "did",
        "not",
        "end",
    ]
