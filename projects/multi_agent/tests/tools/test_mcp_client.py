"""Tools of a real MCP server in a subprocess."""

import shlex
import sys
from pathlib import Path

import pytest

from multi_agent.tools.mcp_client import mcp_tools
from multi_agent.tools.toolbox import ToolError
from seedbed.errors import Unavailable

SERVER = shlex.join([sys.executable, str(Path(__file__).with_name("mcp_test_server.py"))])

pytestmark = pytest.mark.slow  # each call starts a Python process


@pytest.fixture(scope="module")
def tools():
    tools, problems = mcp_tools({"test": SERVER}, seconds=20)
    assert not problems
    return {tool.name: tool for tool in tools}


def test_tools_have_schema_and_effects_unless_read_only(tools):
    assert tools["test__echo"].parameters["required"] == ["text"]
    assert not tools["test__echo"].effects and tools["test__send"].effects
    assert all(tool.untrusted for tool in tools.values())


def test_call_returns_the_text(tools):
    assert tools["test__echo"].function(text="hello") == "hello"


def test_error_of_a_tool_names_it(tools):
    with pytest.raises(ToolError, match=r"test__fail: .*no such city"):
        tools["test__fail"].function()


def test_server_that_dies_is_an_error_and_the_next_call_works(tools):
    with pytest.raises(Unavailable, match="MCP server 'test'"):
        tools["test__die"].function()
    assert tools["test__echo"].function(text="again") == "again"


@pytest.mark.parametrize(
    "name", ["test__hang", pytest.param("test__flood", marks=pytest.mark.own_process)]
)
def test_server_that_hangs_or_floods_is_given_up(tools, name):
    # Reading 50 MB takes the SDK minutes.
    with pytest.raises(Unavailable, match="did not respond within 20 s"):
        tools[name].function()


def test_missing_servers_are_problems_and_others_work():
    servers = {"none": "/no/such/command", "empty": "", "closed": "http://127.0.0.1:9/mcp"}
    tools, problems = mcp_tools({**servers, "test": SERVER}, seconds=30)
    assert problems.keys() == servers.keys() and len(tools) == 7
    assert "/no/such/command" in problems["none"]
    assert not any("\n" in problem for problem in problems.values())
