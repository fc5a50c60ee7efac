"""The edition of one file: a supervisor with two agents, and what it leaves to a person."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from seedbed.models.load import local_models
from seedbed.testing.launch import import_file
from seedbed.testing.vendor.script import Reply
from seedbed.testing.vendor.server import launch_vendor

pytest.importorskip("multi_agent.sample.shop")
nano = import_file(Path(__file__).parents[1] / "nano.py")
THREAD = {"configurable": {"thread_id": "t1"}}
CANCEL = "UPDATE orders SET status = 'cancelled' WHERE id = 5001"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(nano, "DATA", tmp_path)
    monkeypatch.setenv("SEEDBED_EMBEDDINGS", "hash:")
    return tmp_path


def invoke(data: Path, step: Any) -> dict[str, Any]:
    """One step of the thread, with a graph and a checkpointer opened for it alone."""
    with SqliteSaver.from_conn_string(str(data / "checkpoints.sqlite")) as checkpointer:
        state: dict[str, Any] = nano.build_graph(checkpointer).invoke(step, THREAD)
        return state


def status_of_order(data: Path) -> str:
    with sqlite3.connect(data / "shop.sqlite") as shop:
        return str(shop.execute("SELECT status FROM orders WHERE id = 5001").fetchone()[0])


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


def test_supervisor_combines_both_agents(vendor: Any, data: Path) -> None:
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
    state = invoke(data, {"task": "How many customers, and how long can they return goods?"})
    assert state["answer"] == "80 customers; 30 days."
    assert not server.problems
    assert "count(*)\\n80" in json.dumps(server.calls[2].body)
    assert "80 customers." in json.dumps(server.calls[3].body), "the notes reach the supervisor"
    assert ".md" in json.dumps(server.calls[5].body)


@pytest.mark.parametrize(("reply", "status"), [("yes", "cancelled"), ("no", "delivered")])
def test_change_waits_for_approval(vendor: Any, data: Path, reply: str, status: str) -> None:
    server = vendor(
        [
            assign("analyst", "Cancel order 5001."),
            Reply(tool_calls=[("query_database", {"sql": CANCEL})]),
            "Done as decided.",
            assign("finish", "Done as decided."),
        ]
    )
    state = invoke(data, {"task": "Cancel order 5001."})
    assert state["__interrupt__"][0].value == {"approve": CANCEL}
    assert status_of_order(data) == "delivered"
    # Another graph, opened from the checkpoint, as after a crash.
    assert invoke(data, Command(resume=reply))["answer"] == "Done as decided."
    assert status_of_order(data) == status
    assert len(server.calls) == 4, "no call was made twice"


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT 1; SELECT 2", "one statement"),
        ("UPDATE people SET name = 'x'", "no such table"),
        ("ATTACH DATABASE '{folder}/new.db' AS other", "not authorized"),
        ("DROP TABLE orders", "not authorized"),
        ("PRAGMA writable_schema = 1", "not authorized"),
    ],
)
def test_other_statement_is_refused_without_asking(data: Path, sql: str, error: str) -> None:
    tool = nano.database_tool(nano.create_database(data / "shop.sqlite"))
    reply = tool.invoke({"sql": sql.format(folder=data)})
    assert reply.startswith("Error: ") and error in reply
    assert [file.name for file in data.iterdir()] == ["shop.sqlite"]


@pytest.mark.parametrize("allowed", [nano.READ, nano.CHANGE])
def test_vacuum_writes_no_file(data: Path, allowed: set[int]) -> None:
    database = nano.create_database(data / "shop.sqlite")
    with pytest.raises(sqlite3.Error, match=r"not authorized|authorization denied"):
        nano.run_query(database, f"VACUUM INTO '{data}/copy.db'", allowed)
    assert [file.name for file in data.iterdir()] == ["shop.sqlite"]


@pytest.mark.parametrize(
    "arguments", [["--resume", "nosuch", "yes"], ["--resume", "t1", "maybe"], ["--resume", "t1"]]
)
def test_resume_of_no_run_prints_one_line(vendor: Any, arguments: list[str]) -> None:
    vendor([])
    with pytest.raises(SystemExit) as exit:
        nano.main(arguments)
    assert "nosuch" in str(exit.value) or "Usage" in str(exit.value)


def test_resume_continues_from_the_command_line(
    vendor: Any, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = Reply(tool_calls=[("query_database", {"sql": CANCEL})])
    vendor([assign("analyst", "Cancel it."), call, "Done.", assign("finish", "Cancelled.")])
    nano.main(["Cancel order 5001."])
    command = capsys.readouterr().out.split("nano.py ")[1].split("    ")[0].split()
    nano.main(command)
    assert capsys.readouterr().out == "Cancelled.\n"
    assert status_of_order(data) == "cancelled"


def test_supervisor_without_end_is_stopped(vendor: Any, data: Path) -> None:
    turn = [assign("analyst", "Count again."), "I don't know."]
    vendor(turn * nano.MAX_ASSIGNMENTS)
    answer = invoke(data, {"task": "How many?"})["answer"]
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
