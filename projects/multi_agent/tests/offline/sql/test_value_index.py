import sqlite3

from multi_agent.data.database import open_database
from multi_agent.offline.sql import value_index
from multi_agent.offline.sql.question import QuestionParser
from multi_agent.offline.sql.value_index import ValueIndex
from multi_agent.offline.sql.words import tokenize


def test_match_is_the_longest_value(clinic):
    size, values = ValueIndex(clinic).matches(tokenize("with Dr. Holm today"), 1)
    assert size == 2
    assert [value.value for value in values] == ["Dr. Holm"]


def test_part_of_a_value_matches_only_with_a_capital(clinic):
    index = ValueIndex(clinic)
    assert [v.value for v in index.matches(tokenize("Vogt"), 0)[1]] == ["Dr. Vogt"]
    assert index.matches(tokenize("vogt"), 0)[1] == []


def test_value_beyond_the_index_is_looked_up(tmp_path):
    path = tmp_path / "big.sqlite"
    count = value_index._MAX_VALUES + 10
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, age INTEGER)")
        rows = ((i, f"Person N{i}", i % 90) for i in range(count))
        connection.executemany("INSERT INTO users VALUES (?, ?, ?)", rows)
    with open_database(path) as database:
        parse = QuestionParser(database).parse(f"What is the age of Person N{count - 1}?")
        assert database.query(parse.sql).rows == (((count - 1) % 90,),)
