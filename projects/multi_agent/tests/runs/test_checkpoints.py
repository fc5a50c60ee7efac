"""The state of the graph in SQLite and Postgres."""

import logging
import warnings
from pathlib import Path

import pytest
from langgraph.graph import END, START, StateGraph

from multi_agent.config import Config
from multi_agent.runs.checkpoints import open_checkpointer, serializer
from multi_agent.runs.state import Answer, Evidence, Result, RunState, Step
from seedbed.errors import ConfigError, Unavailable

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
