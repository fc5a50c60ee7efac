"""The scripted chat model: replies, checks against tools and schemas, script files."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from seedbed.errors import Busy, ConfigError
from seedbed.models.scripted import ScriptedChatModel, ScriptError


class Point(BaseModel):
    x: int


@tool
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def call(name, **args):
    return AIMessage(content="", tool_calls=[{"name": name, "args": args, "id": "1"}])


def test_replies_are_returned_in_order_and_calls_recorded():
    model = ScriptedChatModel(["one", lambda request: request.text.upper(), Busy("full")])
    assert [model.invoke("first").text, model.invoke("second").text] == ["one", "SECOND"]
    assert [request.text for request in model.calls] == ["first", "second"]
    with pytest.raises(Busy, match="full"):
        model.invoke("third")
    with pytest.raises(ScriptError, match=r"3 replies, and this is call 4.*'fourth'"):
        model.invoke("fourth")


def test_stream_joins_to_the_reply_with_usage():
    text = "Two  spaces,\n a line; 世界 🎉 and an end. "
    chunks = list(ScriptedChatModel([text]).stream("hello"))
    assert len(chunks) > 5
    assert "".join(chunk.text for chunk in chunks) == text
    assert chunks[-1].usage_metadata["input_tokens"] == 1


async def test_astream_returns_tool_calls():
    model = ScriptedChatModel([call("add", a=1, b=2)]).bind_tools([add])
    chunks = [chunk async for chunk in model.astream("1 + 2")]
    assert chunks[-1].tool_calls[0]["args"] == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("reply", "choice", "message"),
    [
        (call("add", a="one", b=2), None, "'one' is not of type 'integer'"),
        (call("subtract", a=1, b=2), None, "calls 'subtract'. Bound tools: \\['add'\\]"),
        ("3", "any", "replies with text"),
        (call("add", a=1, b=2), "none", "tool_choice is none"),
    ],
    ids=["wrong argument", "unknown tool", "text instead of a call", "call despite none"],
)
def test_tool_call_must_fit_the_bound_tools(reply, choice, message):
    model = ScriptedChatModel([reply]).bind_tools([add], tool_choice=choice)
    with pytest.raises(ScriptError, match=message):
        model.invoke("1 + 2")


def test_from_file_reads_every_kind_of_reply(tmp_path):
    path = tmp_path / "script.yaml"
    path.write_text(
        "- Hello.\n- {tool_calls: [{name: add, args: {a: 1, b: 2}}]}\n- {json: {x: 1}}\n"
    )
    model = ScriptedChatModel.from_file(path)
    assert model.invoke("a").text == "Hello."
    assert model.bind_tools([add]).invoke("b").tool_calls[0]["name"] == "add"
    assert model.with_structured_output(Point).invoke("c") == Point(x=1)
    with pytest.raises(ScriptError, match="does not fit Point"):
        ScriptedChatModel(['{"x": "one"}']).with_structured_output(Point).invoke("d")


@pytest.mark.parametrize(
    "text",
    ["a: 1", "- {nothing: 1}", "- [", None],
    ids=["not a list", "unknown key", "not YAML", "missing file"],
)
def test_from_file_rejects_an_invalid_script(tmp_path, text):
    path = tmp_path / "script.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"script\.yaml"):
        ScriptedChatModel.from_file(path)


def test_parallel_calls_get_a_reply_each():
    class Slow(list):
        def append(self, item):  # lets the other threads count this call as theirs
            super().append(item)
            time.sleep(0.01)

    model = ScriptedChatModel([str(n) for n in range(8)])
    model._calls = Slow()
    with ThreadPoolExecutor(8) as threads:
        replies = threads.map(lambda _: model.invoke("Hi").text, range(8))
    assert sorted(replies) == [str(n) for n in range(8)]
