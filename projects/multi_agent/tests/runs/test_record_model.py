"""Chat models of a run: recorded, replayed, and within its budget."""

import asyncio
import threading

import pytest
import sqlalchemy as sa
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from multi_agent.runs.budget import Budget, OverBudget
from multi_agent.runs.ledger import Ledger, NotRecorded
from multi_agent.runs.record_model import RecordedModel, Stopped
from multi_agent.runs.store import RunStore, ledger
from seedbed.errors import BadInput, Busy, ReplyCutOff
from seedbed.models.load import load_chat_model
from seedbed.models.scripted import ScriptedChatModel
from seedbed.settings import Settings
from seedbed.testing.vendor.script import Reply
from seedbed.testing.vendor.server import launch_vendor


class Choice(BaseModel):
    """What the model chooses."""

    name: str


def lookup(word: str) -> str:
    """Look a word up."""
    return word


@pytest.fixture
def run_store(tmp_path):
    return RunStore(tmp_path / "runs.sqlite")


@pytest.fixture
def run_id(run_store):
    return run_store.create("task").id


@pytest.fixture
def open_model(run_store, run_id):
    """The model of a run, each time as another process opens it; without a script, a replay."""

    def open_model(script=None, role="planner", **fields):
        model = ScriptedChatModel(script) if isinstance(script, list) else script
        return RecordedModel(role=role, model=model, ledger=Ledger(run_store, run_id), **fields)

    return open_model


def call(name):
    return {"name": name, "args": {"word": "a"}, "id": "1", "type": "tool_call"}


def test_replay_answers_without_the_model(open_model):
    script = ["Hello  you.\n", "again", AIMessage("", tool_calls=[call("lookup")]), {"name": "x"}]

    def use(model):
        answers = [model.invoke("Hi"), model.invoke("Hi")]
        answers.append(model.bind_tools([lookup]).invoke("Look up."))
        return answers, model.with_structured_output(Choice).invoke("Choose.")

    first, second = use(open_model(script)), use(open_model())
    assert [m.content for m in second[0]] == ["Hello  you.\n", "again", ""]
    assert second[0][2].tool_calls == first[0][2].tool_calls
    assert second[0][0].usage_metadata == first[0][0].usage_metadata
    assert second[1] == first[1] == Choice(name="x")


def test_replay_names_the_call_that_is_not_in_the_record(open_model):
    open_model(["yes"]).invoke("Plan this.")
    replay = open_model()
    assert replay.invoke("Plan this.").text == "yes"
    with pytest.raises(NotRecorded, match=r"planner with 'Plan this\.'"):
        replay.invoke("Plan this.")  # a second time
    with pytest.raises(NotRecorded, match="planner with 'Another'"):
        replay.invoke("Another")
    with pytest.raises(NotRecorded, match="of the analyst"):
        open_model(role="analyst").invoke("Plan this.")
    with pytest.raises(NotRecorded):
        open_model().invoke("Plan this.", temperature=1)


def test_recorded_call_is_not_made_again_after_a_restart(open_model):
    model = ScriptedChatModel(["one", "two"])
    open_model(model).invoke("Hi")
    resumed = open_model(model)
    assert [resumed.invoke("Hi").text, resumed.invoke("Hi").text] == ["one", "two"]
    assert len(model.calls) == 2


def test_streaming_yields_chunks_before_the_model_has_ended(open_model):
    stream = open_model(["one two three"]).stream("Hi")
    assert next(stream).text == "one"
    stream.close()
    with pytest.raises(NotRecorded):  # half a reply is not recorded
        open_model().invoke("Hi")
    list(open_model(["one two"]).stream("Hi"))
    assert "".join(chunk.text for chunk in open_model().stream("Hi")) == "one two"


def test_model_keeps_its_own_callbacks_and_gets_none_of_its_caller(open_model):
    class Starts(BaseCallbackHandler):
        count = 0

        def on_chat_model_start(self, *_, **__):
            self.count += 1

    own, callers = Starts(), Starts()
    recording = open_model(ScriptedChatModel(["four five"], callbacks=[own]))
    # Inside a graph, a model inherits the callbacks.
    RunnableLambda(recording.invoke).invoke("one two three", {"callbacks": [callers]})
    assert (own.count, callers.count) == (1, 1)


def test_record_names_role_and_prompt_for_readers(open_model, run_store):
    open_model(["yes"]).invoke("Plan this.")
    with run_store.engine.connect() as connection:
        (row,) = connection.execute(sa.select(ledger)).mappings()
    assert (row["name"], row["arguments"]) == ("planner", {"prompt": "Plan this."})


def test_error_of_the_model_is_raised_and_not_replayed(open_model):
    record = open_model([BadInput("refused"), "yes"])
    with pytest.raises(BadInput, match="refused"):
        record.invoke("Hi")
    assert record.invoke("Hi").text == "yes"
    assert open_model().invoke("Hi").text == "yes"


def test_replay_costs_nothing(open_model):
    budgets = Budget(), Budget()
    for script, budget in zip((["four five"], None), budgets, strict=True):
        assert open_model(script, budget=budget).invoke("one two three").text == "four five"
    assert [budget.usage["tokens"] for budget in budgets] == [5, 0]


def test_price_of_the_model_is_spent(open_model, run_store, run_id):
    budget = Budget()
    model = ScriptedChatModel(["four five"], model_name="openai:gpt-4o-mini")
    open_model(model, budget=budget).invoke("one two three")
    assert budget.usage["usd"] == pytest.approx((3 * 0.15 + 2 * 0.6) / 1e6)
    assert Ledger(run_store, run_id).usage()["usd"] == budget.usage["usd"]


@pytest.mark.parametrize("mode", ["invoke", "stream", "ainvoke", "astream"])
def test_call_after_the_limit_is_refused(open_model, mode):
    script = ScriptedChatModel(lambda _: "four five")
    model = open_model(script, budget=Budget(tokens=5))

    async def consume():
        return [chunk async for chunk in model.astream("one two three")]

    def call():
        if mode == "ainvoke":
            asyncio.run(model.ainvoke("one two three"))
        elif mode == "astream":
            asyncio.run(consume())
        else:
            list(getattr(model, mode)("one two three"))

    call()
    with pytest.raises(OverBudget, match="5 tokens"):
        call()
    assert len(script.calls) == 1


def test_stopped_run_makes_no_call_and_ends_a_stream(open_model):
    script, stopped = ScriptedChatModel(["one two three"]), threading.Event()
    stream = open_model(script, stopped=stopped).stream("Hi")
    next(stream)
    stopped.set()
    with pytest.raises(Stopped, match="The run was stopped"):
        next(stream)
    with pytest.raises(Stopped):
        open_model(script, stopped=stopped).invoke("Hi")
    assert len(script.calls) == 1


def test_failed_call_is_not_charged_but_a_stream_that_was_cut_off_is(open_model, run_store, run_id):
    budget = Budget()
    with pytest.raises(Busy):
        open_model([Busy("full")], budget=budget).invoke("one two three")
    assert budget.usage["tokens"] == 0
    stream = open_model(["four five six"], budget=budget).stream("one two three")
    next(stream)
    stream.close()
    assert budget.usage["tokens"] == 4 + 1  # estimated: 13 and 4 characters
    assert Ledger(run_store, run_id).usage()["tokens"] == 5


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_usage_is_what_a_vendor_counts(open_model, run_store, run_id, mode, monkeypatch):
    """One reply that is cut off and charged, one with its usage, one that is asked for again."""
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    budget = Budget()
    answers = [Reply("Hello, how", finish="length"), "Hello.", Reply(fault="500"), "Hi."]
    with launch_vendor(answers) as vendor:
        settings = Settings(base_url=f"{vendor.url}/v1", _env_file=None)
        vendor_model = load_chat_model("openai:gpt-4o-mini", settings=settings)
        model = open_model(vendor_model, budget=budget)
        with pytest.raises(ReplyCutOff):
            list(getattr(model, mode)("Hello"))
        for text in ("Hello.", "Hi."):
            reply = getattr(model, mode)("Hello")
            assert "".join(m.text for m in ([reply] if mode == "invoke" else reply)) == text
    counted = (vendor.usage.input_tokens, vendor.usage.output_tokens)
    usd = (counted[0] * 0.15 + counted[1] * 0.6) / 1e6
    for usage in (budget.usage, Ledger(run_store, run_id).usage()):
        assert usage["tokens"] == sum(counted)
        assert usage["usd"] == pytest.approx(usd, rel=1e-9)


def test_reply_without_usage_is_estimated(open_model, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    budget = Budget()
    with launch_vendor([Reply("a" * 40, usage=False)]) as vendor:
        settings = Settings(base_url=f"{vendor.url}/v1", _env_file=None)
        model = load_chat_model("openai:gpt-4o-mini", settings=settings)
        open_model(model, budget=budget).invoke("b" * 21)
    assert budget.usage["tokens"] == 6 + 10
    assert budget.usage["usd"] == pytest.approx((6 * 0.15 + 10 * 0.6) / 1e6)
