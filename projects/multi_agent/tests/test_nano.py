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


def test_wrong_query_is_reported_to_the_model(data: Path) -> None:
    tool = nano.database_tool(nano.create_database(data / "shop.sqlite"))
    assert tool.invoke({"sql": "SELECT * FROM people"}) == "Error: no such table: people"


def test_supervisor_without_end_is_stopped(vendor: Any, data: Path) -> None:
    turn = [assign("analyst", "Count again."), "I don't know."]
    vendor(turn * nano.MAX_ASSIGNMENTS)
    answer = invoke(data, {"task": "How many?"})["answer"]
    assert answer.startswith(nano.NO_ANSWER)
    assert answer.count("I don't know.") == nano.MAX_ASSIGNMENTS


@pytest.mark.slow
@pytest.mark.skipif(not local_models(), reason="this copy has remote models only")
def test_default_model_quotes_or_proposes(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDBED_MODEL", "smollm2")
    monkeypatch.setenv("SEEDBED_EMBEDDINGS", "minilm")
    state = invoke(data, {"task": "Within how many days can I return goods after delivery?"})
    assert "within 30 days after delivery" in state["answer"]
    assert state["answer"].endswith("[returns.md]")


@pytest.mark.slow
@pytest.mark.skipif(not local_models(), reason="this copy has remote models only")
def test_query_of_default_model_waits_for_approval(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDBED_MODEL", "smollm2")
    monkeypatch.setenv("SEEDBED_EMBEDDINGS", "minilm")
    state = invoke(data, {"task": "How many customers does the shop have?"})
    assert "customers" in state["__interrupt__"][0].value["approve"]
    assert "answer" not in state
    assert invoke(data, Command(resume="no"))["answer"].startswith(nano.NO_ANSWER)
