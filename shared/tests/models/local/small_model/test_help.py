"""The help for small models: what the default model does with it, and seedbed without it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

import seedbed
from seedbed.models.load import load_chat_model
from seedbed.models.local.small_model.stop_loops import loop_end
from seedbed.models.local.small_model.tool_words import related_tools
from seedbed.structured.schemas import tool_functions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def model():
    model = load_chat_model("smollm2", max_tokens=24)
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


def test_tool_choice_auto_calls_only_related_tools(model):
    bound = model.bind_tools([get_weather, add])
    assert bound.invoke("What is the weather in Paris?").tool_calls[0]["name"] == "get_weather"
    assert bound.invoke("Hello!").tool_calls == []
    assert bound.bind(tool_choice="none").invoke("What is the weather?").tool_calls == []


def test_parallel_tool_calls_may_be_several(model):
    bound = model.bind_tools([get_weather, add], parallel_tool_calls=True)
    calls = bound.invoke(
        "Tell me the weather in Oslo, Bergen and Trondheim.", max_tokens=200
    ).tool_calls
    assert len(calls) >= 2
    assert len({call["id"] for call in calls}) == len(calls)
    assert {call["name"] for call in calls} == {"get_weather"}
    one = bound.invoke("Tell me the weather in Oslo, Bergen and Trondheim.", max_tokens=3)
    assert len(one.tool_calls) == 1


def test_repeated_tool_call_ends_the_answer(model):
    bound = model.bind_tools([get_weather], parallel_tool_calls=True)
    message = bound.invoke("What is the weather in Paris?", max_tokens=400)
    assert len(message.tool_calls) == 1
    assert message.usage_metadata["output_tokens"] < 80


def test_tool_result_is_quoted(model):
    call = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}, "id": "1"}])
    history = [HumanMessage("Add 1 and 2"), call, ToolMessage("3", tool_call_id="1", name="add")]
    assert related_tools(tool_functions([add]), history) == []
    assert re.fullmatch(
        r"(The answer|The result|It) is 3\.", model.bind_tools([add]).invoke(history).text
    )


def test_looping_text_ends_with_its_repetition(model):
    message = model.invoke("thanks", max_tokens=100)
    assert message.response_metadata["finish_reason"] == "stop"
    assert loop_end("", message.text) == len(message.text)


def test_seedbed_works_without_the_folder(tmp_path):
    # 1. Delete the folder, its tests, and the statement in `load_local.py`.
    source, tests = Path(seedbed.__file__).parent, Path(__file__).parents[1]
    shutil.copytree(source, tmp_path / "seedbed", ignore=shutil.ignore_patterns("small_model"))
    shutil.copytree(tests, tmp_path / "tests", ignore=shutil.ignore_patterns("small_model"))
    load = tmp_path / "seedbed/models/local/load_local.py"
    statement = r"    # Help for a model that is too small.*?(?=    return LocalChatModel)"
    text, count = re.subn(statement, "", load.read_text("utf-8"), count=1, flags=re.DOTALL)
    assert count == 1
    load.write_text(text, "utf-8")
    # 2. Import all other modules, and run the tests of local chat models.
    imports = (
        "import importlib, pkgutil, seedbed.models as models\n"
        f"assert models.__file__.startswith({str(tmp_path)!r})\n"
        "for module in pkgutil.walk_packages(models.__path__, 'seedbed.models.'):\n"
        "    module.name.endswith('__main__') or importlib.import_module(module.name)"
    )
    options = ["--import-mode=importlib", "-oaddopts=", "-oasyncio_mode=auto", "-mnot slow"]
    for arguments in (["-c", imports], ["-m", "pytest", *options, "tests/chat/test_load.py"]):
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stdout + result.stderr
