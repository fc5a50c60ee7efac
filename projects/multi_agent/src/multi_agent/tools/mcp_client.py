"""The tools of MCP servers as tools of the team, named `server__tool`.

    with open_servers({"docs": "mcp-server-docs", "web": "http://127.0.0.1:9000/mcp"}) as servers:
        servers.tools         # [Tool(name="docs__search", …), …]
        servers.problems      # {"web": "MCP server 'web' did not respond within 20 s."}

Each server has one session, which stays open and is shared by all runs of the process, so a server
can keep state: a browser, a login, a transaction. A session that has ended is opened again by the
next call, which also reads the list of tools again. A tool has effects unless its server marks it
as read-only.

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
from typing import TYPE_CHECKING, Any

from multi_agent.tools.toolbox import Tool, ToolError
from seedbed.errors import BadInput, ConfigError, SeedbedError, Unavailable
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    import mcp_types
    from mcp import Client

    Request = Callable[[Client], Awaitable[Any]]

MAX_TEXT = 1_000_000
"""Characters of one result."""
MAX_NAME = 64
"""Characters of a tool's name: OpenAI's limit, the lowest of the vendors."""
PROBE_SECONDS = 5.0
"""A server that gave no reply in time is dead if it does not list its tools within this time."""
STOP_SECONDS = 10.0
"""The MCP SDK needs up to 7 s to stop a server: it closes its input, terminates, then kills it."""


class NotConnected(Unavailable):
    """No session could be opened, so nothing was sent: an effect was not carried out."""

    status = 424


class NoReply(Unavailable):
    """A request was sent, and no reply arrived in time."""


class Servers:
    """The tools of all servers that respond, and the problem of each that does not."""

    def __init__(self, addresses: Mapping[str, str], seconds: float) -> None:
        self.tools: list[Tool] = []
        """Updated in place whenever a session is opened."""
        self._servers = [Server(*item, seconds, self._update) for item in addresses.items()]
        problems = zip(addresses, self._each(Server.problem), strict=True)
        self.problems = {name: problem for name, problem in problems if problem}

    def close(self) -> None:
        """End all sessions and the processes of the servers."""
        self._each(Server.close)

    def _each(self, function: Callable[[Server], Any]) -> list[Any]:
        with ThreadPoolExecutor(len(self._servers) or 1) as threads:
            return list(threads.map(function, self._servers))

    def _update(self) -> None:
        listed = [(server, tool) for server in self._servers for tool in server.listing]
        names = tool_names([(server.name, tool.name) for server, tool in listed])
        self.tools[:] = [
            server.tool(tool, name) for (server, tool), name in zip(listed, names, strict=True)
        ]


@contextmanager
def open_servers(addresses: Mapping[str, str], seconds: float = 20.0) -> Iterator[Servers]:
    """Open a session with each server, until the end of the block.

    An address is a command or a URL; `seconds` limits the start of a server and each call.
    """
    servers = Servers(addresses, seconds)
    try:
        yield servers
    finally:
        servers.close()


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
    """One server: opens its session when it is needed, and drops it when it is dead."""

    def __init__(self, name: str, address: str, seconds: float, opened: Callable[[], None]) -> None:
        self.name = name
        self.listing: list[mcp_types.Tool] = []
        self._address, self._seconds, self._opened = address, seconds, opened
        self._session: Session | None = None
        self._closed = False
        self._lock = threading.Lock()

    def problem(self) -> str:
        """Why no session can be opened; empty if one is open."""
        try:
            self._open()
        except SeedbedError as error:
            return str(error)
        return ""

    def tool(self, tool: mcp_types.Tool, name: str) -> Tool:
        """A tool of this server, for the team."""
        effects = not (tool.annotations and tool.annotations.read_only_hint)

        def function(**arguments: Any) -> str:
            def call(client: Client) -> Awaitable[mcp_types.CallToolResult]:
                return client.call_tool(tool.name, arguments)

            result = self._request(call, repeatable=not effects)
            text = "\n".join(getattr(part, "text", f"[{part.type}]") for part in result.content)
            if result.is_error:
                raise ToolError(f"{name}: {text[:500]}")
            return text[:MAX_TEXT]

        return Tool(
            name=name,
            description=tool.description or "",
            parameters=tool.input_schema,
            function=function,
            effects=effects,
            timeout=2 * (self._seconds + PROBE_SECONDS + STOP_SECONDS),
            untrusted=True,
        )

    def close(self) -> None:
        """End the session, for good."""
        self._closed = True
        with self._lock:
            if self._session is not None:
                self._session.close()

    def _request(self, request: Request, *, repeatable: bool) -> Any:
        """The result of a request. Raises Unavailable, or BadInput if the server refuses it."""
        # 1. An effect needs a session that is alive for certain: once it was sent to a dead one,
        #    only a person can find out whether it was carried out.
        session = self._open()
        if not repeatable and not session.is_alive(self._seconds):
            self._drop(session)
            session = self._open()
        # 2. Send it. A server that only refuses it, or is slow, keeps its session and state.
        try:
            return self._send(session, request)
        except SeedbedError as error:
            if session.is_alive(PROBE_SECONDS):
                raise
            self._drop(session)
            if not repeatable or isinstance(error, NoReply):
                raise
        # 3. The session had ended; what only reads is sent once more.
        return self._send(self._open(), request)

    def _open(self) -> Session:
        """The session, opened if there is none. Raises NotConnected or ConfigError."""
        with self._lock:
            if self._closed:
                raise NotConnected(f"MCP server {self.name!r} is closed.")
            if self._session is None:
                try:
                    self._session = Session(self._address, self._seconds)
                except ConfigError as error:
                    setting = f"AGENTS_MCP_SERVERS: {self.name}={self._address!r}"
                    raise ConfigError(f"{setting}: {error}") from None
                except Exception as error:
                    raise NotConnected(self._reason(error)) from error
                self.listing = self._session.listing
                self._opened()
            return self._session

    def _send(self, session: Session, request: Request) -> Any:
        from mcp import MCPError
        from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND

        try:
            return session.send(request, self._seconds)
        except TimeoutError as error:
            raise NoReply(self._reason(error)) from error
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

    def _drop(self, session: Session) -> None:
        """Close a dead session, unless another thread has done so."""
        with self._lock:
            if self._session is not session:
                return
            self._session = None
        session.close()


class Session:
    """A connection to a server, in an event loop with a thread of its own; any thread may use it.

    Raises TimeoutError, ConfigError, and what the MCP SDK raises.
    """

    def __init__(self, address: str, seconds: float) -> None:
        from anyio.from_thread import start_blocking_portal

        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            connection = self._portal.wrap_async_context_manager(connect(address, seconds))
            self._client = stack.enter_context(connection)
            self.listing: list[mcp_types.Tool] = self.send(list_tools, seconds)
            self._stack = stack.pop_all()

    def send(self, request: Request, seconds: float) -> Any:
        """The result of a request."""

        async def within() -> Any:
            async with asyncio.timeout(seconds):
                return await request(self._client)

        return self._portal.call(within)

    def is_alive(self, seconds: float) -> bool:
        """Whether the server lists its tools; MCP has no smaller request that all must answer."""
        with suppress(Exception):
            self.send(lambda client: client.list_tools(cache_mode="bypass"), seconds)
            return True
        return False

    def close(self) -> None:
        """End the connection, the requests in progress and the process of a command."""
        with suppress(Exception):  # of a connection that broke
            self._stack.close()


@asynccontextmanager
async def connect(address: str, seconds: float) -> AsyncIterator[Client]:
    """A client that is connected to a command or a URL. Raises ConfigError for no command."""
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    target: Any = address
    async with AsyncExitStack() as stack:
        if not address.startswith(("http://", "https://")):
            try:
                command, *arguments = shlex.split(address)
            except ValueError as error:  # empty, or quotes that do not match
                raise ConfigError(f"{error}.") from None
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
