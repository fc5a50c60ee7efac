from datetime import date

import pytest

from multi_agent.offline.english import tokenize
from multi_agent.offline.sql.link import link
from multi_agent.offline.sql.schema import describe
from multi_agent.offline.sql.values import ValueIndex


@pytest.fixture
def phrases(clinic):
    schema = describe(clinic)
    values = ValueIndex(clinic, schema)
    return lambda text: link(tokenize(text), schema, values)


@pytest.mark.parametrize(
    ("text", "first", "after"),
    [
        ("2024", date(2024, 1, 1), date(2025, 1, 1)),
        ("May 2025", date(2025, 5, 1), date(2025, 6, 1)),
        ("3 May 2025", date(2025, 5, 3), date(2025, 5, 4)),
        ("December 31, 2024", date(2024, 12, 31), date(2025, 1, 1)),
        ("on 2025-02-28", date(2025, 2, 28), date(2025, 3, 1)),
        ("the second quarter of 2024", date(2024, 4, 1), date(2024, 7, 1)),
        ("Q4 2024", date(2024, 10, 1), date(2025, 1, 1)),
        ("before 2024", None, date(2024, 1, 1)),
        ("after 3 May 2024", date(2024, 5, 4), None),
        ("since May 2024", date(2024, 5, 1), None),
        ("from May to July 2024", date(2024, 5, 1), date(2024, 8, 1)),
        ("between 1 May and 3 June 2025", date(2025, 5, 1), date(2025, 6, 4)),
    ],
)
def test_period_is_a_span_of_days(phrases, text, first, after):
    (phrase,) = phrases(text)
    assert (phrase.period.first, phrase.period.after) == (first, after)


@pytest.mark.parametrize("text", ["30 February 2025 x", "in May", "the first half of 2024"])
def test_period_that_is_not_understood_leaves_a_word_over(phrases, text):
    assert any(phrase.kind in ("unknown", "number") for phrase in phrases(text))


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [("more than 2000", 2000, ""), ("over 1990 euros", 1990, "euro"), ("3 kg", 3, "kg")],
)
def test_year_after_a_comparison_or_before_a_unit_is_a_number(phrases, text, number, unit):
    found = phrases(text)
    assert [phrase.number for phrase in found if phrase.kind == "number"] == [number]
    assert "".join(phrase.unit for phrase in found) == unit


def test_longest_phrase_wins(phrases):
    assert [phrase.text for phrase in phrases("birth date")] == ["birth date"]
    assert "no more than" in [phrase.text for phrase in phrases("no more than 3")]


def test_negation_inside_a_value_is_not_a_negation(phrases):
    (phrase,) = phrases("no-shows")
    assert [value.text for value in phrase.values] == ["no-show"]


def test_part_of_a_value_is_not_the_value(phrases):
    assert phrases("of Vogt")[0].kind == "unknown"


def test_event_of_a_verb_is_not_the_status_of_the_same_word(tmp_path):
    import sqlite3

    from multi_agent.data.database import open_database

    with sqlite3.connect(tmp_path / "t.sqlite") as connection:
        connection.executescript(
            "CREATE TABLE complaints (id INTEGER PRIMARY KEY, opened_at TEXT, status TEXT);"
            "INSERT INTO complaints VALUES (1, '2024-01-01', 'open'), (2, '2024-02-02', 'closed'),"
            " (3, '2025-01-01', 'open')"
        )
    with open_database(tmp_path / "t.sqlite") as database:
        schema = describe(database)
        values = ValueIndex(database, schema)

        def meant(text):
            last = link(tokenize(text), schema, values)[-1]
            return [value.text for value in last.values]

    assert meant("complaints that are open") == ["open"]
    assert meant("complaints that were opened") == []
    assert meant("complaints that she did open") == []
