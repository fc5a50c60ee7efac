"""The edition of one file: a supervisor with two agents that can only read."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from seedbed.models.load import local_models
from seedbed.testing.launch import import_file
from seedbed.testing.vendor.script import Reply
from seedbed.testing.vendor.server import launch_vendor

pytest.importorskip("multi_agent.sample.shop")
nano = import_file(Path(__file__).parents[1] / "nano.py")


@pytest.fixture(autouse=True)
def embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_EMBEDDINGS", "hash:")


def assign(worker: str, request: str) -> str:
    return json.dumps({"next": worker, "request": request})


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[Any]], Any]]:
    """Starts a server with replies of a bigger model, and points the settings at it."""
    with ExitStack() as stack:

        def launch(replies: list[Any]) -> Any:
            server = stack.enter_context(launch_vendor(replies))
            monkeypatch.setenv("SEEDBED_MODEL", "openai:gpt-4o-mini")
            monkeypatch.setenv("SEEDBED_BASE_URL", f"{server.url}/v1")
            monkeypatch.setenv("OPENAI_API_KEY", "test-key")
            return server

        yield launch


def test_supervisor_combines_both_agents(vendor: Any) -> None:
    server = vendor(
        [
            assign("analyst", "How many customers are there?"),
            Reply(tool_calls=[("query_database", {"sql": "SELECT count(*) FROM customers"})]),
            "80 customers.",
            assign("researcher", "How long can goods be returned?"),
            Reply(tool_calls=[("search_documents", {"question": "days to return goods"})]),
            "30 days, says returns.md.",
            assign("finish", "80 customers; 30 days."),
        ]
    )
    state = nano.build_graph().invoke({"task": "How many customers, and how long to return goods?"})
    assert state["answer"] == "80 customers; 30 days."
    assert not server.problems
    assert "count(*)\\n80" in json.dumps(server.calls[2].body)
    assert "80 customers." in json.dumps(server.calls[3].body), "the notes reach the supervisor"
    assert ".md" in json.dumps(server.calls[5].body)


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT 1; SELECT 2", "one statement"),
        ("UPDATE orders SET status = 'cancelled'", "not authorized"),
        ("BEGIN", "not authorized"),
        ("ATTACH DATABASE '{folder}/new.db' AS other", "not authorized"),
        ("VACUUM INTO '{folder}/copy.db'", "authoriz"),
        ("DROP TABLE orders", "not authorized"),
        ("PRAGMA writable_schema = 1", "not authorized"),
    ],
)
def test_statement_that_does_more_than_read_is_refused(
    tmp_path: Path, sql: str, error: str
) -> None:
    reply = nano.database_tool(nano.open_database()).invoke({"sql": sql.format(folder=tmp_path)})
    assert reply.startswith("Error: ") and error in reply
    assert not any(tmp_path.iterdir())


def test_supervisor_without_end_is_stopped(vendor: Any) -> None:
    turn = [assign("analyst", "Count again."), "I don't know."]
    vendor(turn * nano.MAX_ASSIGNMENTS)
    answer = nano.build_graph().invoke({"task": "How many?"})["answer"]
    assert answer.startswith(nano.NO_ANSWER)
    assert answer.count("I don't know.") == nano.MAX_ASSIGNMENTS


@pytest.mark.slow
@pytest.mark.skipif(not local_models(), reason="this copy has remote models only")
def test_default_model_quotes_or_declines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEEDBED_MODEL", "smollm2")
    monkeypatch.setenv("SEEDBED_EMBEDDINGS", "minilm")
    nano.main(["Within how many days can I return goods after delivery?"])
    output = capsys.readouterr().out
    assert "within 30 days after delivery" in output and output.endswith("[returns.md]\n")
    nano.main(["How many customers does the shop have?"])
    assert capsys.readouterr().out == f"{nano.NO_ANSWER} {nano.NEEDS_MODEL}\n"
