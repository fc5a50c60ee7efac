"""The help for small models: its decisions, and what the default model does with them."""

import re

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from seedbed.models.load import load_chat_model
from seedbed.models.local.small_model import SmallModelHelp, loop_end
from seedbed.structured.schemas import tool_functions


@pytest.fixture(scope="module")
def model():
    model = load_chat_model("smollm2", max_tokens=60)
    yield model
    model.engine.close()  # frees its memory for the next tests


@tool
def get_weather(city: str, days: int = 1) -> str:
    """Get the weather in a city."""
    return f"Sunny in {city} for {days} days."


@tool
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


CALL = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "1"}])
HISTORY = [HumanMessage("Add 1 and 2"), CALL, ToolMessage("3", tool_call_id="1", name="add")]


def selected(choice, *messages):
    tools = tool_functions([get_weather, add])
    found = SmallModelHelp().select_tools(tools, choice, messages)
    return [one["function"]["name"] for one in found]


def test_tools_that_share_a_word_are_selected():
    assert selected("auto", HumanMessage("What is the weather in Paris?")) == ["get_weather"]
    assert selected("auto", HumanMessage("Hello!")) == []
    assert selected("any", HumanMessage("Hello!")) == ["get_weather", "add"]
    assert selected("auto", *HISTORY) == []
    assert selected("any", *HISTORY) == ["get_weather"]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_default_model_calls_a_related_tool_once(model):
    bound = model.bind_tools([get_weather, add], parallel_tool_calls=True)
    message = bound.invoke("What is the weather in Paris?", max_tokens=400)
    assert [call["name"] for call in message.tool_calls] == ["get_weather"]
    assert message.usage_metadata["output_tokens"] < 80


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_default_model_quotes_a_result_and_ends_a_loop(model):
    text = model.bind_tools([add]).invoke(HISTORY).text
    assert re.fullmatch(r"(The answer|The result|It) is 3\.", text)
    message = model.invoke("thanks", max_tokens=100)
    assert message.response_metadata["finish_reason"] == "stop"
    assert loop_end("", message.text) == len(message.text)
