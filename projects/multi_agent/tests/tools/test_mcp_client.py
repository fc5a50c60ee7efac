"""Sessions with a real MCP server in a subprocess."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from multi_agent.tools.mcp_client import NotConnected, Servers, open_servers
from multi_agent.tools.toolbox import ToolError
from seedbed.errors import BadInput, Unavailable
from seedbed.testing.launch import free_port

FILE = Path(__file__).with_name("mcp_test_server.py")

pytestmark = pytest.mark.slow  # starts Python processes


class TestServer:
    """The open server, its tools by name, and the processes that were started for it."""

    __test__ = False

    def __init__(self, servers: Servers, pids: Path = Path(), stack: Any = None) -> None:
        self.servers, self._pids, self._stack = servers, pids, stack

    def close(self) -> None:
        self._stack.close()

    def call(self, name: str, **arguments: Any) -> Any:
        tools = {tool.name: tool for tool in self.servers.tools}
        return tools[f"test__{name}"].function(**arguments)

    @property
    def pids(self) -> list[int]:
        return [int(line) for line in self._pids.read_text().split()]


@pytest.fixture
def open_server(tmp_path: Path) -> Iterator[Callable[..., TestServer]]:
    with ExitStack() as stack:

        def open_one(seconds: float = 20.0) -> TestServer:
            pids = tmp_path / "pids"
            # Of our environment, the SDK passes on little.
            command = ["env", f"PIDS_FILE={pids}", sys.executable, str(FILE)]
            servers = stack.enter_context(open_servers({"test": shlex.join(command)}, seconds))
            assert not servers.problems
            return TestServer(servers, pids, stack)

        yield open_one


@contextmanager
def serve_http(port: int) -> Iterator[None]:
    """The server as a process that listens on a port."""
    process = subprocess.Popen([sys.executable, FILE, str(port)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still alive"
        time.sleep(0.01)


def test_tools_have_schema_and_effects_unless_read_only(
    open_server: Callable[..., TestServer],
) -> None:
    server = open_server()
    tools = {tool.name: tool for tool in server.servers.tools}
    assert tools["test__echo"].parameters["required"] == ["text"]
    assert not tools["test__echo"].effects and tools["test__send"].effects
    assert server.call("echo", text="hello") == "hello"


def test_errors_of_tool_and_of_arguments_are_told_apart(
    open_server: Callable[..., TestServer],
) -> None:
    server = open_server()
    with pytest.raises(ToolError, match=r"test__fail: .*no such city"):
        server.call("fail")
    with pytest.raises((ToolError, BadInput), match="text"):
        server.call("echo")
    assert len(server.pids) == 1


def test_server_keeps_its_state_between_calls_and_ends_at_close(
    open_server: Callable[..., TestServer],
) -> None:
    server = open_server()
    assert [server.call("count") for _ in range(3)] == ["1", "2", "3"]
    (pid,) = server.pids
    assert is_alive(pid)
    server.close()
    assert not is_alive(pid)
    with pytest.raises(NotConnected, match="closed"):
        server.call("count")


def test_calls_of_several_threads_are_in_progress_together(
    open_server: Callable[..., TestServer],
) -> None:
    server = open_server(seconds=40)
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(lambda _: server.call("meet"), range(3)))
    assert results == ["met"] * 3 and len(server.pids) == 1


def test_server_that_died_is_started_again_before_an_effect(
    open_server: Callable[..., TestServer],
) -> None:
    server = open_server()
    assert server.call("count") == "1"
    os.kill(server.pids[0], signal.SIGKILL)
    assert server.call("count") == "1"  # of a new process, not an error
    assert len(server.pids) == 2 and not is_alive(server.pids[0])


def test_call_during_which_the_server_dies_is_not_repeated(
    open_server: Callable[..., TestServer],
) -> None:
    server = open_server()
    with pytest.raises(Unavailable, match="MCP server 'test': Connection closed") as raised:
        server.call("die_after_effect")
    assert not isinstance(raised.value, NotConnected)  # it may have happened
    assert len(server.pids) == 1
    assert server.call("echo", text="again") == "again"


def test_slow_call_is_given_up_and_the_session_goes_on(
    open_server: Callable[..., TestServer],
) -> None:
    server = open_server(seconds=5)
    assert server.call("count") == "1"
    with pytest.raises(Unavailable, match="did not respond within 5 s"):
        server.call("hang")
    assert server.call("count") == "2"
    (pid,) = server.pids
    server.close()
    wait_until_gone(pid)


@pytest.mark.parametrize("tool", ["freeze", "flood"])
def test_server_that_is_stuck_is_killed_and_started_again(
    open_server: Callable[..., TestServer], tool: str
) -> None:
    server = open_server(seconds=8)
    # The SDK needs minutes to read 50 MB.
    with pytest.raises(Unavailable, match="did not respond within 8 s"):
        server.call(tool)
    assert server.call("echo", text="again") == "again"
    wait_until_gone(server.pids[0])


def test_server_over_http_that_was_restarted_gets_a_new_session() -> None:
    port = free_port()
    with ExitStack() as stack:
        with serve_http(port):
            servers = stack.enter_context(open_servers({"test": f"http://127.0.0.1:{port}/mcp"}))
            server = TestServer(servers)
            assert [server.call("count") for _ in range(2)] == ["1", "2"]
        with pytest.raises(NotConnected, match="MCP server 'test'"):
            server.call("count")
        with serve_http(port):
            assert server.call("count") == "1"


def test_missing_servers_are_problems_and_others_work() -> None:
    servers = {"none": "/no/such/command", "empty": "", "closed": "http://127.0.0.1:9/mcp"}
    command = shlex.join([sys.executable, str(FILE)])
    with open_servers({**servers, "test": command}, seconds=30) as opened:
        assert opened.problems.keys() == servers.keys()
        assert len(opened.tools) == 10
        assert "/no/such/command" in opened.problems["none"]
        assert not any("\n" in problem for problem in opened.problems.values())
