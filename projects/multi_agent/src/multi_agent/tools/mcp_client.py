"""The tools of MCP servers as tools of the team, named `server__tool`.

    servers = open_servers({"docs": "mcp-server-docs", "web": "http://127.0.0.1:9000/mcp"})
    servers.tools         # [Tool(name="docs__search", …), …]
    servers.problems      # {"web": "MCP server 'web' did not respond within 20 s."}

Each call has a session of its own, as with langchain-mcp-adapters (which requires mcp<2): runs
share no state, and a server that was down is used again once it is up. A command is started for
each call. A tool has effects unless its server marks it as read-only.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multi_agent.tools.toolbox import Tool, ToolError
from seedbed.errors import BadInput, SeedbedError, Unavailable
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    import mcp_types
    from mcp import Client

MAX_NAME = 64
"""Characters of a tool's name: OpenAI's limit, the lowest of the vendors."""


class NotConnected(Unavailable):
    """No session could be opened, so nothing was sent: an effect was not carried out."""

    status = 424


@dataclass(frozen=True)
class Servers:
    """The tools of all servers that respond, and the problem of each that does not."""

    tools: list[Tool]
    problems: dict[str, str]


@dataclass(frozen=True)
class Server:
    """A server: a command or a URL; `seconds` limits the start of a session and each request."""

    name: str
    address: str
    seconds: float

    def send(self, request: Callable[[Client], Awaitable[Any]]) -> Any:
        """The result of a request in a session of its own.

        Raises NotConnected, Unavailable, or BadInput if the server refuses the request.
        """
        from mcp import MCPError
        from mcp_types import INVALID_PARAMS, METHOD_NOT_FOUND

        connected, results = False, list[Any]()

        async def exchange() -> None:
            nonlocal connected
            now = asyncio.get_running_loop().time
            async with asyncio.timeout(self.seconds) as limit, self._client() as client:
                connected = True
                limit.reschedule(now() + self.seconds)
                results.append(await request(client))
                limit.reschedule(None)

        try:
            asyncio.run(exchange())
        except Exception as error:
            if results:  # the session only failed to end
                return results[0]
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            problem = f"MCP server {self.name!r}: {reason(error)}."
            if isinstance(error, TimeoutError):
                problem = f"MCP server {self.name!r} did not respond within {self.seconds:g} s."
            if isinstance(error, MCPError) and error.code in (INVALID_PARAMS, METHOD_NOT_FOUND):
                raise BadInput(problem) from error
            raise (Unavailable if connected else NotConnected)(problem) from error
        return results[0]

    def _client(self) -> Client:
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client

        if self.address.startswith(("http://", "https://")):
            return Client(self.address)
        command, *arguments = shlex.split(self.address) or [""]
        parameters = StdioServerParameters(command=command, args=arguments)
        return Client(stdio_client(parameters, errlog=Path(os.devnull).open("w")))  # not our log

    def list_tools(self) -> list[mcp_types.Tool]:
        """The tools of all pages. Raises what `send` raises."""

        async def pages(client: Client) -> list[mcp_types.Tool]:
            page = await client.list_tools()
            tools = list(page.tools)
            while page.next_cursor:
                page = await client.list_tools(cursor=page.next_cursor)
                tools += page.tools
            return tools

        return list(self.send(pages))

    def tool(self, tool: mcp_types.Tool, name: str) -> Tool:
        """A tool of this server, for the team."""

        def function(**arguments: Any) -> str:
            result = self.send(lambda client: client.call_tool(tool.name, arguments))
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
            timeout=2 * self.seconds + 10,  # the SDK needs up to 7 s to end a server
        )


def open_servers(addresses: Mapping[str, str], seconds: float = 20.0) -> Servers:
    """The tools that the servers have now."""
    servers = [Server(name, address, seconds) for name, address in addresses.items()]

    def listing(server: Server) -> list[mcp_types.Tool] | SeedbedError:
        try:
            return server.list_tools()
        except SeedbedError as error:
            return error

    with ThreadPoolExecutor(len(servers) or 1) as threads:
        listings = list(zip(servers, threads.map(listing, servers), strict=True))
    problems = {s.name: str(found) for s, found in listings if isinstance(found, SeedbedError)}
    listed = [(s, tool) for s, found in listings if isinstance(found, list) for tool in found]
    names = tool_names([(server.name, tool.name) for server, tool in listed])
    tools = [server.tool(tool, name) for (server, tool), name in zip(listed, names, strict=True)]
    return Servers(tools, problems)


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
