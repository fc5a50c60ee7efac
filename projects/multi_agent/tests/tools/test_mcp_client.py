"""The tools of real MCP servers, in subprocesses."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from multi_agent.tools.mcp_client import NotConnected, Servers, open_servers
from multi_agent.tools.toolbox import ToolError
from seedbed.errors import BadInput, Unavailable

FILE = Path(__file__).with_name("mcp_test_server.py")

pytestmark = pytest.mark.slow  # starts Python processes


@pytest.fixture
def servers(tmp_path: Path) -> Servers:
    # Of our environment, the SDK passes on little.
    command = ["env", f"PIDS_FILE={tmp_path / 'pids'}", sys.executable, str(FILE)]
    servers = open_servers({"test": shlex.join(command)})
    assert not servers.problems
    return servers


@pytest.fixture
def call(servers: Servers) -> Callable[..., Any]:
    tools = {tool.name: tool for tool in servers.tools}
    return lambda name, **arguments: tools[f"test__{name}"].function(**arguments)


def test_tools_have_schema_and_effects_unless_read_only(
    servers: Servers, call: Callable[..., Any]
) -> None:
    tools = {tool.name: tool for tool in servers.tools}
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


def test_server_that_does_not_respond_is_given_up(tmp_path: Path) -> None:
    command = shlex.join(["env", f"PIDS_FILE={tmp_path / 'pids'}", sys.executable, str(FILE)])
    opened = open_servers({"test": command}, seconds=4)
    tools = {tool.name: tool for tool in opened.tools}
    with pytest.raises(Unavailable, match="did not respond within 4 s"):
        tools["test__hang"].function()


def test_missing_servers_are_problems_and_others_work() -> None:
    addresses = {"none": "/no/such/command", "empty": "", "closed": "http://127.0.0.1:9/mcp"}
    command = shlex.join([sys.executable, str(FILE)])
    opened = open_servers({**addresses, "test": command}, seconds=30)
    assert opened.problems.keys() == addresses.keys()
    assert {tool.name for tool in opened.tools} > {"test__echo", "test__send"}
    assert "/no/such/command" in opened.problems["none"]
    assert not any("\n" in problem for problem in opened.problems.values())
