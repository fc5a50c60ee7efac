"""Models whose calls are recorded and replayed."""

import json
from pathlib import Path

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from multi_agent.runs.budget import Budget, BudgetCallback
from multi_agent.runs.record_model import FileReplies, RecordedModel, RunReplies
from multi_agent.runs.replay import NotRecorded
from multi_agent.runs.store import RunStore
from seedbed.errors import BadInput
from seedbed.models.scripted import ScriptedChatModel


class Choice(BaseModel):
    """What the model chooses."""

    name: str


def lookup(word: str) -> str:
    """Look a word up."""
    return word


@pytest.fixture(params=["file", "run"])
def open_replies(request, tmp_path):
    """Opens the same record once more, as another process does."""
    if request.param == "file":
        return lambda: FileReplies(tmp_path / "calls.jsonl")
    store = RunStore(tmp_path / "runs.sqlite")
    run = store.create("task")
    return lambda: RunReplies(store, run.id)


def test_replay_answers_without_the_model(open_replies):
    script = ScriptedChatModel(
        ["Hello  you.\n", "again", {"name": "x"}, AIMessage("", tool_calls=[call("lookup")])]
    )

    def use(model):
        answers = [model.invoke("Hi"), model.invoke("Hi")]
        answers.append(model.bind_tools([lookup]).invoke("Look up."))
        return answers, model.with_structured_output(Choice).invoke("Choose.")

    script.replies[2], script.replies[3] = script.replies[3], script.replies[2]
    first = use(RecordedModel(model=script, role="planner", replies=open_replies()))
    second = use(RecordedModel(role="planner", replies=open_replies()))
    assert [m.content for m in second[0]] == ["Hello  you.\n", "again", ""]
    assert second[0][2].tool_calls == first[0][2].tool_calls
    assert second[0][0].usage_metadata == first[0][0].usage_metadata
    assert second[1] == first[1] == Choice(name="x")


def call(name):
    return {"name": name, "args": {"word": "a"}, "id": "1", "type": "tool_call"}


def test_replay_names_the_call_that_is_not_in_the_record(open_replies):
    RecordedModel(model=ScriptedChatModel(["yes"]), role="planner", replies=open_replies()).invoke(
        "Plan this."
    )
    replay = RecordedModel(role="planner", replies=open_replies())
    assert replay.invoke("Plan this.").text == "yes"
    with pytest.raises(NotRecorded, match=r"planner with 'Plan this\.'"):
        replay.invoke("Plan this.")  # a second time
    with pytest.raises(NotRecorded, match="planner with 'Another'"):
        replay.invoke("Another")
    with pytest.raises(NotRecorded, match="of the analyst"):
        RecordedModel(role="analyst", replies=open_replies()).invoke("Plan this.")
    with pytest.raises(NotRecorded):
        RecordedModel(role="planner", replies=open_replies()).invoke("Plan this.", temperature=1)


def test_recorded_call_is_not_made_again_after_a_restart(open_replies):
    model = ScriptedChatModel(["one", "two"])
    RecordedModel(model=model, role="planner", replies=open_replies()).invoke("Hi")
    resumed = RecordedModel(model=model, role="planner", replies=open_replies())
    assert [resumed.invoke("Hi").text, resumed.invoke("Hi").text] == ["one", "two"]
    assert len(model.calls) == 2


def test_streaming_yields_chunks_before_the_model_has_ended(open_replies):
    model = RecordedModel(
        model=ScriptedChatModel(["one two three"]), role="r", replies=open_replies()
    )
    stream = model.stream("Hi")
    assert next(stream).text == "one"
    stream.close()
    with pytest.raises(NotRecorded):  # half a reply is not recorded
        RecordedModel(role="r", replies=open_replies()).invoke("Hi")
    replies = open_replies()
    list(
        RecordedModel(model=ScriptedChatModel(["one two"]), role="r", replies=replies).stream("Hi")
    )
    chunks = list(RecordedModel(role="r", replies=open_replies()).stream("Hi"))
    assert [chunk.text for chunk in chunks] == ["one ", "two", ""]


def test_budget_and_callbacks_see_each_call_once(open_replies):
    budget, starts = Budget(), []

    class Starts(BaseCallbackHandler):
        def on_chat_model_start(self, *_, **__):
            starts.append(1)

    model = ScriptedChatModel(["four five"], callbacks=[Starts()])
    config = {"callbacks": [BudgetCallback(budget)]}
    recording = RecordedModel(model=model, role="r", replies=open_replies())
    # Inside a graph, the model inherits the callbacks.
    RunnableLambda(lambda text: recording.invoke(text)).invoke("one two three", config)
    assert budget.usage["tokens"] == 5
    assert starts == [1]  # those of the model inside are kept
    RecordedModel(role="r", replies=open_replies()).invoke("one two three", config)
    assert budget.usage["tokens"] == 10


def test_model_with_its_own_structured_output_is_recorded(tmp_path):
    class Vendor(GenericFakeChatModel):
        def with_structured_output(self, schema, *, include_raw=False, **_):
            assert include_raw and schema["title"] == "Choice"
            raw = AIMessage("", usage_metadata=tokens)
            return self | (lambda _: {"raw": raw, "parsed": {"name": "x"}, "parsing_error": None})

    tokens = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    path = tmp_path / "calls.jsonl"
    vendor = Vendor(messages=iter([AIMessage("-")]))
    for model in (vendor, None):
        model = RecordedModel(model=model, role="r", replies=FileReplies(path))
        assert model.with_structured_output(Choice).invoke([HumanMessage("Choose.")]).name == "x"


def test_error_of_the_model_is_raised_and_not_recorded(open_replies):
    model = ScriptedChatModel([BadInput("refused"), "yes"])
    record = RecordedModel(model=model, role="r", replies=open_replies())
    with pytest.raises(BadInput, match="refused"):
        record.invoke("Hi")
    assert record.invoke("Hi").text == "yes"
    assert RecordedModel(role="r", replies=open_replies()).invoke("Hi").text == "yes"


@pytest.mark.parametrize("text", ["{", "[1]\n", '{"key": 1}\n'])
def test_damaged_record_is_bad_input(tmp_path: Path, text):
    (tmp_path / "calls.jsonl").write_text(text)
    with pytest.raises(BadInput, match=r"calls\.jsonl"):
        FileReplies(tmp_path / "calls.jsonl")


def test_record_names_role_and_prompt_for_readers(tmp_path):
    path = tmp_path / "calls.jsonl"
    model = ScriptedChatModel(["yes"])
    RecordedModel(model=model, role="planner", replies=FileReplies(path)).invoke("Plan this.")
    line = json.loads(path.read_text())
    assert (line["role"], line["prompt"]) == ("planner", "Plan this.")
