"""The tools of MCP servers as tools of the team, named `server__tool`.

    with open_servers({"docs": "mcp-server-docs", "web": "http://127.0.0.1:9000/mcp"}) as servers:
        servers.tools         # [Tool(name="docs__search", …), …]
        servers.problems      # {"web": "MCP server 'web' did not respond within 20 s."}

Each server has one session, which stays open and is shared by all runs of the process, so a server
can keep state: a browser, a login, a transaction. Before each call the session has to list its
tools, which proves that it is alive; one that has ended is replaced, so that no action is sent to
a dead server, where only a person could find out whether it was carried out. A tool has effects
unless its server marks it as read-only.

`langchain-mcp-adapters` would do part of this, but does not work with mcp 2: version 0.3.2 requires
mcp<2, and 0.3.1 imports a class that mcp 2 no longer has.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from multi_agent.tools.toolbox import Tool, ToolError
from seedbed.errors import BadInput, SeedbedError, Unavailable
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    import mcp_types
    from mcp import Client

    Request = Callable[[Client], Awaitable[Any]]

MAX_NAME = 64
"""Characters of a tool's name: OpenAI's limit, the lowest of the vendors."""
STOP_SECONDS = 10.0
"""The MCP SDK needs up to 7 s to stop a server: it closes its input, terminates, then kills it."""


class NotConnected(Unavailable):
    """No session could be opened, so nothing was sent: an effect was not carried out."""

    status = 424


@dataclass(frozen=True)
class Servers:
    """The tools of all servers that respond, and the problem of each that does not."""

    tools: list[Tool]
    problems: dict[str, str]


@contextmanager
def open_servers(addresses: Mapping[str, str], seconds: float = 20.0) -> Iterator[Servers]:
    """Open a session with each server, until the end of the block.

    An address is a command or a URL; `seconds` limits the start of a server and each call.
    """
    servers = [Server(name, address, seconds) for name, address in addresses.items()]
    with ThreadPoolExecutor(len(servers) or 1) as threads:
        try:
            problems = dict(zip(addresses, threads.map(Server.open, servers), strict=True))
            listed = [(server, tool) for server in servers for tool in server.listing]
            names = tool_names([(server.name, tool.name) for server, tool in listed])
            tools = [
                server.tool(tool, name) for (server, tool), name in zip(listed, names, strict=True)
            ]
            yield Servers(tools, {name: problem for name, problem in problems.items() if problem})
        finally:
            list(threads.map(Server.close, servers))


def tool_names(tools: Sequence[tuple[str, str]]) -> list[str]:
    """A name for each (server, tool) that OpenAI and Anthropic accept, no two of them equal.

    >>> tool_names([("docs", "search"), ("mail box", "send.now"), ("mail box", "send/now")])
    ['docs__search', 'mail_box__send_now', 'mail_box__send_now_2']
    """
    names: dict[tuple[str, str], str] = {}
    # Sorted, as permissions go by name: the order of a listing must not change it.
    for server, tool in sorted(tools):
        base = re.sub(r"[^a-zA-Z0-9_-]", "_", f"{server}__{tool}")
        name, number = base[:MAX_NAME], 1
        while name in names.values():
            number += 1
            suffix = f"_{number}"
            name = base[: MAX_NAME - len(suffix)] + suffix
        names[server, tool] = name
    return [names[tool] for tool in tools]


class Server:
    """One server and its session, which any thread may use."""

    def __init__(self, name: str, address: str, seconds: float) -> None:
        self.name = name
        self.listing: list[mcp_types.Tool] = []
        self._address, self._seconds = address, seconds
        self._session: Session | None = None
        self._closed = False
        self._lock = threading.Lock()

    def open(self) -> str:
        """Open a session and list the tools. Returns the problem, or an empty text."""
        try:
            self.listing = self._send(self._live_session(), list_tools)
        except SeedbedError as error:
            return str(error)
        return ""

    def tool(self, tool: mcp_types.Tool, name: str) -> Tool:
        """A tool of this server, for the team."""

        def function(**arguments: Any) -> str:
            session = self._live_session()
            result = self._send(session, lambda client: client.call_tool(tool.name, arguments))
            text = "\n".join(getattr(part, "text", f"[{part.type}]") for part in result.content)
            if result.is_error:
                raise ToolError(f"{name}: {text[:500]}")
            return text

        return Tool(
            name=name,
            description=tool.description or "",
            parameters=tool.input_schema,
            function=function,
            effects=not (tool.annotations and tool.annotations.read_only_hint),
            # A session that does not respond, its end, the start of another one, and the call.
            timeout=3 * self._seconds + STOP_SECONDS,
        )

    def close(self) -> None:
        """End the session, for good."""
        self._closed = True
        with self._lock:
            if self._session is not None:
                self._session.close()

    def _live_session(self) -> Session:
        """A session that has just responded. Raises NotConnected if none can be opened."""
        with self._lock:
            if self._closed:
                raise NotConnected(f"MCP server {self.name!r} is closed.")
            if self._session is not None:
                with suppress(Exception):
                    # MCP has no smaller request that all servers must answer.
                    self._session.send(lambda client: client.list_tools(cache_mode="bypass"))
                    return self._session
                self._session.close()
                self._session = None
            try:
                self._session = Session(self._address, self._seconds)
            except Exception as error:
                raise NotConnected(self._reason(error)) from error
            return self._session

    def _send(self, session: Session, request: Request) -> Any:
        """The result of a request. Raises Unavailable, or BadInput if the server refuses it."""
        from mcp import MCPError
        from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND

        try:
            return session.send(request)
        except Exception as error:
            if isinstance(error, MCPError) and error.code in (INVALID_PARAMS, METHOD_NOT_FOUND):
                raise BadInput(self._reason(error)) from error
            raise Unavailable(self._reason(error)) from error

    def _reason(self, error: Exception) -> str:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, TimeoutError):
            return f"MCP server {self.name!r} did not respond within {self._seconds:g} s."
        return f"MCP server {self.name!r}: {reason(error)}."


class Session:
    """A connection to a server, in an event loop with a thread of its own.

    Raises TimeoutError and what the MCP SDK raises.
    """

    def __init__(self, address: str, seconds: float) -> None:
        from anyio.from_thread import start_blocking_portal

        self._seconds = seconds
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            connection = self._portal.wrap_async_context_manager(connect(address, seconds))
            self._client = stack.enter_context(connection)
            self._stack = stack.pop_all()

    def send(self, request: Request) -> Any:
        """The result of a request."""

        async def within() -> Any:
            async with asyncio.timeout(self._seconds):
                return await request(self._client)

        return self._portal.call(within)

    def close(self) -> None:
        """End the connection, the requests in progress and the process of a command."""
        with suppress(Exception):  # of a connection that broke
            self._stack.close()


@asynccontextmanager
async def connect(address: str, seconds: float) -> AsyncIterator[Client]:
    """A client that is connected to a command or a URL."""
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    target: Any = address
    async with AsyncExitStack() as stack:
        if not address.startswith(("http://", "https://")):
            command, *arguments = shlex.split(address) or [""]
            parameters = StdioServerParameters(command=command, args=arguments)
            # A server's log is not ours.
            errors = stack.enter_context(open(os.devnull, "w"))  # noqa: PTH123, SIM115
            target = stdio_client(parameters, errlog=errors)
        async with asyncio.timeout(seconds):
            client = await stack.enter_async_context(Client(target))
        yield client


async def list_tools(client: Client) -> list[mcp_types.Tool]:
    """The tools of all pages."""
    page = await client.list_tools()
    tools = list(page.tools)
    while page.next_cursor:
        page = await client.list_tools(cursor=page.next_cursor)
        tools += page.tools
    return tools
