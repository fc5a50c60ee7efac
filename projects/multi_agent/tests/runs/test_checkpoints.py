"""The state of the graph in SQLite and Postgres."""

import logging
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import END, START, StateGraph

from multi_agent.config import Config
from multi_agent.runs.checkpoints import open_checkpointer, serializer
from multi_agent.state import Answer, Evidence, Result, RunState, Step
from seedbed.errors import Busy, ConfigError, Unavailable

STEP = Step(id="s1", specialist="analyst", task="Count.")
RESULT = Result(step="s1", answer="36", evidence=(Evidence(kind="query", source="d", text="S"),))
ANSWER = Answer(text="36", confident=True)


@pytest.fixture
def config(database_url: str | Path, tmp_path: Path) -> Config:
    url = database_url if isinstance(database_url, str) else None
    return Config(data_dir=tmp_path / "data", database_url=url)


def graph(saver, work=lambda _: {"results": {"s1": RESULT}}):
    builder = StateGraph(RunState)
    builder.add_node("plan", lambda _: {"plan": (STEP,)})
    builder.add_node("work", work)
    builder.add_node("end", lambda _: {"answer": ANSWER})
    for first, second in ((START, "plan"), ("plan", "work"), ("work", "end"), ("end", END)):
        builder.add_edge(first, second)
    return builder.compile(checkpointer=saver)


def thread(name):
    return {"configurable": {"thread_id": name}}


def test_state_is_loaded_with_its_types_and_without_warnings(config, caplog):
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        with open_checkpointer(config) as saver:
            graph(saver).invoke({"task": "Count."}, thread("r1"), durability="sync")
        with open_checkpointer(config) as saver:
            values = graph(saver).get_state(thread("r1")).values
    assert values["plan"][0] == STEP
    assert (values["results"], values["answer"]) == ({"s1": RESULT}, ANSWER)
    assert not caplog.records


def test_types_of_other_modules_are_not_loaded():
    from multi_agent.runs.store import RunRecord

    record = RunRecord(id="r1", thread="t", task="x", status="done", created_at=0)
    serde = serializer()
    assert serde.loads_typed(serde.dumps_typed(record))["id"] == "r1"  # a plain dict, not loaded


def test_failed_node_is_continued_with_the_results_before_it(config):
    attempts = []

    def work(_):
        attempts.append(1)
        if len(attempts) == 1:
            raise Unavailable("down")
        return {"results": {"s1": RESULT}}

    with open_checkpointer(config) as saver, pytest.raises(Unavailable):
        graph(saver, work).invoke({"task": "Count."}, thread("r1"), durability="sync")
    with open_checkpointer(config) as saver:
        assert graph(saver, work).invoke(None, thread("r1"))["answer"] == ANSWER


def test_threads_share_a_checkpointer(config):
    barrier, answers = threading.Barrier(16), []
    with open_checkpointer(config) as saver:
        app = graph(saver)

        def work(index):
            barrier.wait()
            answers.append(app.invoke({"task": "Count."}, thread(f"r{index}"))["answer"])

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        histories = [len(list(app.get_state_history(thread(f"r{n}")))) for n in range(16)]
    assert answers == [ANSWER] * 16
    assert histories == [5] * 16


def test_writes_of_a_node_are_stored_together_or_not_at_all(tmp_path):
    with open_checkpointer(Config(data_dir=tmp_path)) as saver:
        where = {"configurable": {"thread_id": "r1", "checkpoint_ns": ""}}
        where = saver.put(where, empty_checkpoint(), {}, {})
        room = (tmp_path / "checkpoints.sqlite-wal").stat().st_size + 20_000  # for the first
        with pytest.raises(Unavailable, match="Free some space"), full_disk(room):
            saver.put_writes(where, [("a", 1), ("b", "x" * 500_000)], "task")
        assert saver.get_tuple(where).pending_writes == []
        saver.put_writes(where, [("a", 1), ("b", 2)], "task")
        assert len(saver.get_tuple(where).pending_writes) == 2


@contextmanager
def full_disk(size=100):
    """No file may exceed this size in bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_fails_the_run_which_continues_when_there_is_space(tmp_path):
    with open_checkpointer(Config(data_dir=tmp_path)) as saver:
        app = graph(saver)
        app.update_state(thread("r1"), {"task": "Count."}, as_node="__start__")
        with pytest.raises(Unavailable, match="Free some space"), full_disk():
            app.invoke(None, thread("r1"), durability="sync")
        assert app.invoke(None, thread("r1"))["answer"] == ANSWER


def test_locked_database_is_busy(tmp_path):
    with open_checkpointer(Config(data_dir=tmp_path)) as saver:
        app = graph(saver)
        app.invoke({"task": "Count."}, thread("r1"))
        saver.conn.execute("PRAGMA busy_timeout=50")
        lock = sqlite3.connect(tmp_path / "checkpoints.sqlite", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match=r"checkpoints\.sqlite' is locked"):
            app.invoke({"task": "Count."}, thread("r2"))
        lock.execute("ROLLBACK")
        assert app.invoke({"task": "Count."}, thread("r2"))["answer"] == ANSWER


def test_wrong_address_is_one_clear_error(tmp_path):
    with (
        pytest.raises(ConfigError, match="SEEDBED_DATABASE_URL"),
        open_checkpointer(Config(data_dir=tmp_path, database_url="mysql://me@host/x")),
    ):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(Unavailable, match="AGENTS_DATA_DIR"),
        open_checkpointer(Config(data_dir=tmp_path / "file")),
    ):
        pass


_SCRIPT = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from test_checkpoints import Config, Path, RESULT, graph, open_checkpointer, thread

def work(_):
    os.kill(os.getpid(), signal.SIGKILL)

url = sys.argv[3] or None
with open_checkpointer(Config(data_dir=Path(sys.argv[2]), database_url=url)) as saver:
    graph(saver, work).invoke({"task": "Count."}, thread("r1"), durability="sync")
"""


@pytest.mark.slow
def test_killed_run_is_continued_from_its_checkpoint(config):
    folder = str(Path(__file__).parent)
    arguments = [folder, str(config.data_dir), config.database_url or ""]
    process = subprocess.run([sys.executable, "-c", _SCRIPT, *arguments], env=os.environ)
    assert process.returncode == -signal.SIGKILL
    with open_checkpointer(config) as saver:
        app = graph(saver)
        assert app.get_state(thread("r1")).next == ("work",)
        assert app.invoke(None, thread("r1"))["answer"] == ANSWER


@pytest.mark.slow
def test_processes_open_a_new_database_at_the_same_time(config):
    code = _SCRIPT.replace("os.kill(os.getpid(), signal.SIGKILL)", "return {}")
    arguments = [str(Path(__file__).parent), str(config.data_dir), config.database_url or ""]
    command = [sys.executable, "-c", code, *arguments]
    processes = [subprocess.Popen(command, env=os.environ) for _ in range(3)]
    assert [process.wait() for process in processes] == [0] * 3
