"""The toolbox with the real ledger and budget: permissions, limits, retries, doubts and events."""

import threading

import pytest

from multi_agent.runs.budget import Budget
from multi_agent.runs.ledger import Ledger
from multi_agent.runs.store import RunStore
from multi_agent.tools.toolbox import NeedsUser, ToolBox, ToolError, tool_of


@pytest.fixture
def store(tmp_path):
    return RunStore(f"sqlite:///{tmp_path / 'runs.sqlite'}")


@pytest.fixture
def open_box(store):
    run = store.create("a task").id

    def open_box(*functions, permissions=None, budget=None, emit=None, **options):
        box = ToolBox(
            [tool_of(function, **options) for function in functions],
            Ledger(store, run),
            permissions or {},
            budget or Budget(),
            emit or (lambda kind, step, **data: box.events.append((kind, step, data))),
        )
        box.events = []
        return box

    return open_box


def double(number: int) -> int:
    """Twice a number."""
    return 2 * number


def test_call_returns_result_and_emits_start_and_end(open_box):
    box = open_box(double)
    assert box.call("s1", "double", number=4) == 8
    (started, ended) = box.events
    assert started[:2] == ("tool_started", "s1") and '"number": 4' in started[2]["arguments"]
    assert ended[0] == "tool_ended" and ended[2]["seconds"] >= 0


def test_wrong_arguments_and_unknown_tool_are_named(open_box):
    box = open_box(double)
    with pytest.raises(ToolError, match=r"'four' is not of type 'integer'"):
        box.call("s1", "double", number="four")
    with pytest.raises(ToolError, match=r"Unknown tool 'triple'. Available: double"):
        box.call("s1", "triple", number=4)


def test_tool_with_effects_asks_first_and_obeys_the_answer(open_box):
    box = open_box(double, effects=True)
    with pytest.raises(NeedsUser) as need:
        box.call("s1", "double", number=4)
    assert need.value.options == ("allow", "deny") and "double" in need.value.question
    box.decide(need.value.key, "Allow")
    assert box.call("s1", "double", number=4) == 8
    with pytest.raises(NeedsUser) as other:  # the permission covers these arguments only
        box.call("s1", "double", number=5)
    box.decide(other.value.key, "deny")
    with pytest.raises(ToolError, match="not permitted"):
        box.call("s1", "double", number=5)


def test_interrupted_effect_is_repeated_only_by_decision(open_box):
    calls = []

    def refund(order: str) -> str:
        """Refund an order."""
        calls.append(order)
        if len(calls) == 1:
            raise ConnectionError("connection lost")
        return "booked"

    options = {"effects": True, "permissions": {"refund": "allow"}}
    with pytest.raises(ToolError, match="refund failed: connection lost"):
        open_box(refund, **options).call("s1", "refund", order="7")
    box = open_box(refund, **options)
    for step in ("s1", "s2"):  # planned again
        with pytest.raises(NeedsUser, match="may have run") as need:
            box.call(step, "refund", order="7")
    assert calls == ["7"]
    box.decide(need.value.key, "repeat")
    assert box.call("s2", "refund", order="7") == "booked" and calls == ["7", "7"]


def test_tool_that_hangs_is_given_up(open_box):
    release = threading.Event()

    def hang() -> str:
        """Hang."""
        release.wait()
        return ""

    try:
        with pytest.raises(ToolError, match=r"hang did not respond within 0\.05 s"):
            open_box(hang, timeout=0.05).call("s1", "hang")
    finally:
        release.set()


def test_output_of_50_mb_is_cut_with_a_note(open_box):
    def dump() -> str:
        """Dump."""
        return "x" * 50_000_000

    text = open_box(dump, max_output=1000).call("s1", "dump")
    assert len(text) < 1200 and "50,000,002 characters" in text


@pytest.mark.parametrize("result", [b"bytes", float("nan"), object()])
def test_result_that_is_not_json_is_an_error(open_box, result):
    def count() -> float:
        """Count."""
        return result

    with pytest.raises(ToolError, match="count returned no JSON data"):
        open_box(count).call("s1", "count")


def test_secrets_are_redacted_in_events(open_box):
    def login(password: str, header: str) -> str:
        """Log in."""
        return str(len(password + header))

    box = open_box(login)
    box.call("s1", "login", password="hunter2", header="Bearer abcdefghijkl123456")
    text = str(box.events)
    assert "hunter2" not in text and "abcdefghijkl" not in text
