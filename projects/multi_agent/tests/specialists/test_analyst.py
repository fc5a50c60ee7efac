"""The analyst: queries of a brain, run by the tool, and repaired with their errors."""

import sqlite3
from datetime import date
from types import SimpleNamespace

import pytest

from multi_agent.brain import Refusal
from multi_agent.brain.llm import ModelBrain
from multi_agent.data.database import open_database
from multi_agent.runs.state import Step
from multi_agent.specialists import Context
from multi_agent.specialists.analyst import open_specialist
from multi_agent.tools.toolbox import ToolError
from seedbed.errors import SeedbedError
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
    workspace = SimpleNamespace(database=database)

    def query_database(_name, sql):
        try:
            rows = database.query(sql)
        except SeedbedError as error:
            raise ToolError(str(error)) from None
        data = {"columns": list(rows.columns), "tables": sorted(rows.tables)}
        data["truncated"] = rows.truncated
        return data | {"rows": [list(row) for row in rows.rows]}

    def work(task, *replies, call=query_database):
        model = ScriptedChatModel(list(replies))
        brain = ModelBrain(model, workspace, today=date(2026, 3, 2))
        step = Step(id="s1", specialist="analyst", task=task)
        return open_specialist(workspace).work(step, Context(call, brain)), model

    return work


def test_query_and_its_rows_are_the_evidence(solve, replies):
    sql = "SELECT sum(total_eur) FROM orders WHERE status = 'open';"
    result, _ = solve("What is the total of open orders?", replies.query(sql, "open orders"))
    assert (result.answer, result.number) == ("15.50", 15.5)
    assert result.evidence[0].text == sql.rstrip(";")
    assert result.evidence[0].output == "sum(total_eur)\n15.50"
    assert result.reading == "open orders"


def test_empty_result_is_named_and_is_not_a_number(solve, replies):
    result, _ = solve("?", replies.query("SELECT avg(total_eur) FROM orders WHERE id > 9"))
    assert (result.answer, result.number) == ("none", None)
    sql = "SELECT CASE WHEN id > 1 THEN id END AS n FROM orders ORDER BY n"
    assert solve("?", replies.query(sql))[0].answer == "2, 3", "rows without a value are left out"


def test_prompt_has_schema_values_date_and_dialect(solve, replies):
    _, model = solve("How many?", replies.query("SELECT count(*) FROM orders"))
    prompt = model.calls[0].text
    assert "orders (3 rows): id INTEGER key, status TEXT ('open', 'paid')" in prompt
    assert "Today is Monday, 2026-03-02." in prompt
    assert "SQLite" in prompt and "<<<SCHEMA" in prompt


def test_failed_query_is_repaired_with_its_error(solve, replies):
    bad, good = "SELECT sum(price) FROM orders", "SELECT sum(total_eur) FROM orders"
    result, model = solve("Total?", replies.query(bad), replies.query(good))
    assert result.number == 22.5
    assert bad in model.calls[1].text and "no such column: price" in model.calls[1].text


def test_model_may_refuse_or_ask(solve, replies):
    with pytest.raises(Refusal, match="There are no people"):
        solve("Who is the king?", replies.reply(sql="", reading="", refusal="There are no people."))
    question = {"question": "Net or gross?", "options": ["net", "gross"]}
    with pytest.raises(Refusal) as refusal:
        solve("Total?", replies.reply(sql="", reading="", **question))
    assert refusal.value.options == ("net", "gross")


def test_result_that_was_cut_says_so(solve, replies):
    def many(_name, **_query):
        rows = [[f"name {n}"] for n in range(1_000)]
        return {"columns": ["name"], "tables": ["orders"], "rows": rows, "truncated": True}

    result, _ = solve("Who?", replies.query("SELECT status FROM orders"), call=many)
    assert result.answer.endswith("and 970 more (the result was cut after 1,000 rows)")
