"""Tool calls that are made once, also if the process is killed."""

import threading

import pytest

from multi_agent.runs.ledger import InDoubt, Ledger
from seedbed.errors import BadInput, SeedbedError, Unavailable


@pytest.fixture
def calls():
    return []


@pytest.fixture
def tool(calls):
    def function():
        calls.append(1)
        return {"sum": (36, None)}

    return function


def test_call_with_effects_is_made_once_in_all_steps_of_a_run(store, tool, calls):
    first, second = (Ledger(store, store.create("task").id) for _ in range(2))
    for ledger, step in ((first, "s1"), (first, "s2"), (second, "s1")):
        assert ledger.once(step, "pay", {"a": 1}, tool, repeatable=False) == {"sum": [36, None]}
    assert len(calls) == 2
    with pytest.raises(Unavailable):
        first.once("s3", "mail", {}, fail(Unavailable("timeout")), repeatable=False)
    with pytest.raises(InDoubt):
        first.once("s4", "mail", {}, tool, repeatable=False)
    with pytest.raises(BadInput):
        first.once("s5", "refund", {}, fail(BadInput("no such order")), repeatable=False)
    first.once("s6", "refund", {}, tool, repeatable=False)
    assert len(calls) == 3


def fail(error):
    def function():
        raise error

    return function


class Foreign(Exception):
    status = 404  # of another library, so that it may mean anything


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, OSError, Foreign, SeedbedError])
def test_call_with_effects_is_in_doubt_after_any_error_but_a_refusal(store, tool, error):
    ledger = Ledger(store, store.create("task").id)
    with pytest.raises(error):
        ledger.once("s1", "pay", {}, fail(error("down")), repeatable=False)
    with pytest.raises(InDoubt):
        ledger.once("s1", "pay", {}, tool, repeatable=False)


def test_start_of_a_call_with_effects_survives_a_power_cut(store, tool):
    class Watched(Ledger):
        def _start(self, row, *, durable):
            starts.append(durable)
            return super()._start(row, durable=durable)

    starts = []
    Watched(store, store.create("task").id).once("s1", "pay", {}, tool, repeatable=False)
    assert starts == [True]


def test_call_in_doubt_is_settled_or_repeated(store, tool, calls):
    ledger = Ledger(store, store.create("task").id)
    with pytest.raises(Unavailable):
        ledger.once("s1", "pay", {}, fail(Unavailable("timeout")), repeatable=False)
    with pytest.raises(Unavailable):
        ledger.once("s1", "look", {}, fail(Unavailable("timeout")), repeatable=True)
    ledger.settle(ledger.key("", "pay", {}), "paid")
    assert ledger.once("s1", "pay", {}, tool, repeatable=False) == "paid"
    assert not calls
    assert ledger.once("s1", "look", {}, tool, repeatable=True) == {"sum": [36, None]}
    ledger.settle(ledger.key("s1", "look", {}), "other")  # too late
    assert ledger.once("s1", "look", {}, tool, repeatable=True) == {"sum": [36, None]}


@pytest.mark.parametrize("repeatable", [True, False])
def test_threads_make_a_call_once_and_share_its_result(store, repeatable):
    run, started, results, calls = store.create("task"), threading.Barrier(16), [], []
    second = threading.Event()

    def work():
        started.wait()
        result = Ledger(store, run.id).once("s1", "add", {}, function, repeatable=repeatable)
        results.append(result)

    def function():
        calls.append(1)
        if len(calls) > 1:
            second.set()
        second.wait(0.5)  # the time in which a second call would come
        return len(calls)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (results, len(calls)) == ([1] * 16, 1)
