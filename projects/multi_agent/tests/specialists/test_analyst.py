import sqlite3
from types import SimpleNamespace

import pytest

from multi_agent.data.database import open_database
from multi_agent.specialists import Context
from multi_agent.specialists.analyst import open_specialist
from multi_agent.state import Step
from seedbed.models.scripted import ScriptedChatModel


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT, total_eur REAL);"
            "INSERT INTO orders VALUES (1, 'open', 10), (2, 'open', 5.5), (3, 'paid', 7);"
        )
    with open_database(path) as database:
        yield database


@pytest.fixture
def solve(database):
    analyst = open_specialist(SimpleNamespace(database=database))

    def query_database(_name, sql):
        rows = database.query(sql)
        return {"columns": list(rows.columns), "rows": [list(row) for row in rows.rows]}

    def work(task, model=None):
        step = Step(id="s1", specialist="analyst", task=task)
        return analyst.work(step, Context(call=query_database, model=model))

    return work


def test_answer_is_short_with_unit_and_query_as_evidence(solve):
    result = solve("What is the total of open orders?")
    assert (result.answer, result.number) == ("15.50 EUR", 15.5)
    assert result.evidence[0].text.startswith("SELECT SUM(")
    assert result.evidence[0].output == "value\n15.50"
    assert "orders.status open" in result.reading


def test_groups_are_listed_side_by_side(solve):
    assert solve("Number of orders per status").answer == "open (2); paid (1)"


def test_empty_result_is_said_and_not_a_number(solve):
    result = solve("What is the average total of orders over 100 euros?")
    assert (result.answer, result.number) == ("none", None)


def test_question_that_is_not_understood_is_a_problem(solve):
    result = solve("How many purple orders are there?")
    assert result.answer == ""
    assert "purple" in result.problem


def test_bid_is_higher_for_questions_about_the_data(database):
    analyst = open_specialist(SimpleNamespace(database=database))
    assert analyst.bid("How many orders are open?") > analyst.bid("What is 3 times 4?")


def test_there_is_no_analyst_without_a_database():
    assert open_specialist(SimpleNamespace(database=None)) is None


def test_model_writes_the_query_for_the_schema(solve):
    model = ScriptedChatModel(["```sql\nSELECT count(*) FROM orders;\n```"])
    result = solve("How many orders?", model)
    assert result.number == 3
    assert "orders (3 rows): id number, status text" in model.calls[0].text


def test_failed_query_is_repaired_with_its_error(solve):
    model = ScriptedChatModel(["SELECT sum(price) FROM orders", "SELECT 22.5"])
    assert solve("Total?", model).number == 22.5
    assert "no such column: price" in model.calls[1].text


def test_query_is_repaired_at_most_twice(solve):
    model = ScriptedChatModel(["SELEC 1", "DELETE FROM orders", "garbage"])
    result = solve("Total?", model)
    assert "No query worked" in result.problem
    assert len(model.calls) == 3


def test_model_may_say_that_the_data_is_missing(solve):
    result = solve("Who is the king?", ScriptedChatModel(["NONE: there are no people."]))
    assert result.problem == "there are no people."


def test_result_beyond_the_output_limit_is_a_problem(database):
    analyst = open_specialist(SimpleNamespace(database=database))
    step = Step(id="s1", specialist="analyst", task="List all orders")
    result = analyst.work(step, Context(call=lambda _name, sql: sql and '{"columns": … [cut]'))
    assert result.problem == "The result is too long."
