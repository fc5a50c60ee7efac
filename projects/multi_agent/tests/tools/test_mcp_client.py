"""The tools of real MCP servers, in subprocesses."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multi_agent.tools.mcp_client import NotConnected, open_servers
from multi_agent.tools.toolbox import Tool, ToolError
from seedbed.errors import BadInput, Unavailable

COMMAND = shlex.join([sys.executable, str(Path(__file__).with_name("mcp_test_server.py"))])

pytestmark = pytest.mark.slow  # starts Python processes


@pytest.fixture
def tools() -> dict[str, Tool]:
    opened, problems = open_servers({"test": COMMAND})
    assert not problems
    return {tool.name: tool for tool in opened}


@pytest.fixture
def call(tools: dict[str, Tool]) -> Callable[..., Any]:
    return lambda name, **arguments: tools[f"test__{name}"].function(**arguments)


def test_tools_have_schema_and_effects_unless_read_only(
    tools: dict[str, Tool], call: Callable[..., Any]
) -> None:
    assert tools["test__echo"].parameters["required"] == ["text"]
    assert not tools["test__echo"].effects and tools["test__send"].effects
    assert call("echo", text="hello") == "hello"


def test_errors_of_tool_and_of_arguments_are_told_apart(call: Callable[..., Any]) -> None:
    with pytest.raises(ToolError, match=r"test__fail: .*no such city"):
        call("fail")
    with pytest.raises((ToolError, BadInput), match="text"):
        call("echo")


def test_call_during_which_the_server_dies_may_have_happened(call: Callable[..., Any]) -> None:
    with pytest.raises(Unavailable, match="MCP server 'test'") as raised:
        call("die_after_effect")
    assert not isinstance(raised.value, NotConnected)
    assert call("echo", text="again") == "again"


def test_each_call_has_a_session_of_its_own(call: Callable[..., Any]) -> None:
    assert [call("count"), call("count")] == ["1", "1"]


def test_server_that_does_not_respond_is_given_up() -> None:
    hang = next(tool for tool in open_servers({"test": COMMAND}, 4)[0] if "hang" in tool.name)
    with pytest.raises(Unavailable, match="did not respond within 4 s"):
        hang.function()


def test_missing_servers_are_problems_and_others_work() -> None:
    addresses = {"none": "/no/such/command", "empty": "", "closed": "http://127.0.0.1:9/mcp"}
    opened, problems = open_servers({**addresses, "test": COMMAND}, seconds=30)
    assert problems.keys() == addresses.keys()
    assert {tool.name for tool in opened} > {"test__echo", "test__send"}
    assert "/no/such/command" in problems["none"]
    assert not any("\n" in problem for problem in problems.values())
