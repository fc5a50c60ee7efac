"""Runs and events, on SQLite and Postgres."""

import threading
from contextlib import closing

import pytest

from multi_agent.runs.state import Answer, Limits
from multi_agent.runs.store import RunStore
from seedbed.errors import Conflict, NotFound


def in_threads(number, function):
    """Call the function with 0, 1, 2 … at the same time."""
    barrier = threading.Barrier(number)

    def work(index):
        barrier.wait()
        function(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_run_is_read_as_it_was_written(store, database_url):
    task = "Umsatz im Mai? \0 \ud800 €"
    run = store.create(task, thread="t1", limits=Limits(steps=3))
    answer = Answer(text="36", confident=True)
    store.update(run.id, status="done", answer=answer, usage={"tokens": 12, "usd": 0.5})
    with closing(RunStore(database_url)) as other:
        again = other.run(run.id)
    assert (again.thread, again.limits.steps) == ("t1", 3)
    assert (again.status, again.answer, again.usage["tokens"]) == ("done", answer, 12)
    assert again.task.startswith("Umsatz im Mai? \0") and again.ended_at >= again.created_at
    assert [r.id for r in store.runs()] == [run.id]
    assert [r.id for r in store.runs(1)] == [r.id for r in store.runs(thread="t1")] == [run.id]


def test_run_of_another_owner_is_unknown(store):
    hers, his = store.create("task", owner="alice", thread="t"), store.create("task", owner="bob")
    assert store.run(hers.id).owner == store.run(hers.id, "alice").owner == "alice"
    for other in ("bob", ""):
        with pytest.raises(NotFound, match=f"Unknown run '{hers.id}'"):
            store.run(hers.id, other)
    assert [run.id for run in store.runs(owner="alice")] == [hers.id]
    assert store.runs(owner="bob", thread="t") == store.runs(owner="") == []
    assert [run.id for run in store.runs()] == [his.id, hers.id]


def test_unknown_run_is_not_found(store):
    for call in (
        store.run,
        lambda id: store.update(id, status="done"),
        lambda id: store.add_event(id, "plan"),
    ):
        with pytest.raises(NotFound, match="Unknown run 'r0'"):
            call("r0")


def test_events_have_consecutive_ids_in_each_run(store):
    first, second = store.create("one"), store.create("two")
    in_threads(
        16, lambda n: [store.add_event((first, second)[n % 2].id, "token", n=n) for _ in range(5)]
    )
    for run in (first, second):
        assert [event.id for event in store.events(run.id)] == list(range(1, 41))
    assert [event.id for event in store.events(first.id, after=38)] == [39, 40]
    assert [event.id for event in store.events(first.id, limit=2)] == [1, 2]


def test_lease_is_taken_over_once_it_has_ended_and_what_its_first_holder_writes_is_refused(store):
    run = store.create("task", holder="first", seconds=60)
    with pytest.raises(Conflict, match="running in another process"):
        store.claim(run.id, "second", 60)
    assert store.orphans() == [] and store.renew([run.id], "first", -1) == {run.id}
    assert store.orphans() == [run.id]
    store.claim(run.id, "second", 60)
    assert store.renew([run.id], "first", 60) == set() and store.orphans() == []
    for write in (
        lambda: store.add_event(run.id, "plan", holder="first"),
        lambda: store.update(run.id, status="done", holder="first"),
    ):
        with pytest.raises(Conflict, match="running in another process"):
            write()
    store.release(run.id, "first")
    assert store.renew([run.id], "second", 60) == {run.id}
    assert store.add_event(run.id, "plan", holder="second").id == 1
    store.release(run.id, "second")
    with pytest.raises(Conflict):  # released is not taken back by who had it before
        store.add_event(run.id, "plan", holder="second")
