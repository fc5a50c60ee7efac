"""Runs and events, on SQLite and Postgres."""

import resource
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
import sqlalchemy as sa

from multi_agent.runs.store import RunStore
from multi_agent.state import Answer, Limits
from seedbed.errors import Busy, ConfigError, Conflict, NotFound, Unavailable


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
    parent = store.create("first")
    run = store.create(task, thread="t1", limits=Limits(steps=3), parent=parent.id)
    answer = Answer(text="36", confident=True)
    store.update(run.id, status="done", answer=answer, usage={"tokens": 12, "usd": 0.5})
    with closing(RunStore(database_url)) as other:
        again = other.run(run.id)
    assert (again.thread, again.limits.steps, again.parent) == ("t1", 3, parent.id)
    assert (again.status, again.answer, again.usage["tokens"]) == ("done", answer, 12)
    assert again.task.startswith("Umsatz im Mai? \0") and again.ended_at >= again.created_at
    assert [r.id for r in store.runs()] == [run.id, parent.id]
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


def test_database_without_owners_and_leases_is_opened(store, database_url):
    run = store.create("task", owner="alice")
    with store.engine.begin() as connection:
        for column in ("owner", "holder", "held_until"):
            connection.execute(sa.text(f"ALTER TABLE runs DROP COLUMN {column}"))
    store.close()
    with closing(RunStore(database_url)) as store:
        assert store.run(run.id, "").owner == "" and store.orphans() == [run.id]
        assert store.create("task", owner="bob").owner == "bob"


def test_unknown_run_is_not_found(store):
    for call in (
        store.run,
        lambda id: store.update(id, status="done"),
        lambda id: store.add_event(id, "plan"),
    ):
        with pytest.raises(NotFound, match="Unknown run 'r0'"):
            call("r0")


def test_status_ends_the_run_and_a_resumed_run_has_no_end(store):
    run = store.create("task")
    assert run.ended_at is None
    assert store.update(run.id, status="stopped", reason="by the user").ended_at is not None
    resumed = store.update(run.id, status="running")
    assert (resumed.ended_at, resumed.reason) == (None, "by the user")


def test_only_one_of_many_threads_resumes_a_run(store):
    run, winners = store.create("task"), []
    store.update(run.id, status="stopped")

    def resume(index):
        try:
            store.update(run.id, when=["stopped"], status="running")
            winners.append(index)
        except Conflict as error:
            assert "is running, not stopped" in str(error)

    in_threads(16, resume)
    assert len(winners) == 1


def test_events_have_consecutive_ids_in_each_run(store):
    first, second = store.create("one"), store.create("two")
    in_threads(
        16, lambda n: [store.add_event((first, second)[n % 2].id, "token", n=n) for _ in range(5)]
    )
    for run in (first, second):
        assert [event.id for event in store.events(run.id)] == list(range(1, 41))
    assert [event.id for event in store.events(first.id, after=38)] == [39, 40]
    assert [event.id for event in store.events(first.id, limit=2)] == [1, 2]


def test_event_data_becomes_json(store):
    run = store.create("task")
    store.add_event(
        run.id, "answer", "s1", run="x", kind="y", answer=Answer(text="1", confident=True)
    )
    (event,) = store.events(run.id)
    assert (event.kind, event.step, event.run) == ("answer", "s1", run.id)
    assert (event.data["run"], event.data["kind"]) == ("x", "y")
    assert event.data["answer"]["text"] == "1"


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


def test_one_of_many_processes_takes_an_orphan(store):
    run, winners = store.create("task"), []

    def claim(index):
        try:
            store.claim(run.id, f"process {index}", 60)
            winners.append(index)
        except Conflict:
            pass

    in_threads(16, claim)
    assert len(winners) == 1


@pytest.mark.slow
def test_processes_open_a_new_database_at_the_same_time(database_url):
    imports = "from pathlib import Path\nfrom multi_agent.runs.store import RunStore\n"
    code = f"{imports}RunStore({database_url!r})"
    code = code.replace("PosixPath", "Path")
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4


def test_full_disk_is_unavailable_and_nothing_is_written(tmp_path):
    store = RunStore(tmp_path / "runs.sqlite")
    run = store.create("task")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(Unavailable, match="Free some space"):
            store.add_event(run.id, "answer", text="a" * 50_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.events(run.id) == []
    assert store.add_event(run.id, "plan").id == 1


def test_locked_database_is_busy(tmp_path):
    path = tmp_path / "runs.sqlite"
    store = RunStore(path)
    run = store.create("task")
    with store.engine.connect() as connection:
        connection.connection.cursor().execute("PRAGMA busy_timeout=50")
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy, match=r"runs\.sqlite' is locked"):
        store.add_event(run.id, "plan")
    lock.execute("ROLLBACK")
    assert store.add_event(run.id, "plan").id == 1


def test_damaged_or_missing_database_is_one_clear_error(tmp_path):
    (tmp_path / "runs.sqlite").write_text("This is not a database. " * 100)
    with pytest.raises(Unavailable, match="is damaged"):
        RunStore(tmp_path / "runs.sqlite")
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="AGENTS_DATA_DIR"):
        RunStore(tmp_path / "file" / "runs.sqlite")
    with pytest.raises(ConfigError, match="SEEDBED_DATABASE_URL"):
        RunStore("mysql://me:secret@host/name")
    with pytest.raises(Unavailable, match="SEEDBED_DATABASE_URL") as error:
        RunStore("postgresql://me:secret@127.0.0.1:1/name")
    assert "secret" not in str(error.value)
