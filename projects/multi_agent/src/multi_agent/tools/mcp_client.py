"""The tools of MCP servers as tools of the team, named `server__tool`.

    tools, problems = open_servers({"docs": "mcp-server-docs", "web": "http://127.0.0.1:9000/mcp"})
    tools         # [Tool(name="docs__search", …), …]
    problems      # {"web": "MCP server 'web' did not respond within 20 s."}

Each call has a session of its own, as with langchain-mcp-adapters (which requires mcp<2): runs
share no state, and a server that was down is used again once it is up. A command is started for
each call. A tool has effects unless its server marks it as read-only.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multi_agent.tools.toolbox import Tool, ToolError
from seedbed.errors import BadInput, SeedbedError, Unavailable
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    import mcp_types
    from mcp import Client


class NotConnected(Unavailable):
    """No session could be opened, so nothing was sent: an effect was not carried out."""

    status = 424


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

    def tool(self, tool: mcp_types.Tool) -> Tool:
        """A tool of this server, for the team."""
        name = tool_name(self.name, tool.name)

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


def open_servers(
    addresses: Mapping[str, str], seconds: float = 20.0
) -> tuple[list[Tool], dict[str, str]]:
    """The tools that the servers have now, and the problem of each server that has none."""
    tools, problems = dict[str, Tool](), dict[str, str]()
    for name, address in addresses.items():
        server = Server(name, address, seconds)
        try:
            candidates = [server.tool(tool) for tool in server.send(_list_tools)]
        except SeedbedError as error:
            problems[name] = str(error)
            continue
        for tool in candidates:
            if tools.setdefault(tool.name, tool) is not tool:  # permissions go by name
                problems[name] = f"Another tool has the name {tool.name}, too."
    return [tools[name] for name in sorted(tools)], problems


async def _list_tools(client: Client) -> list[mcp_types.Tool]:
    page = await client.list_tools()
    tools = list(page.tools)
    while page.next_cursor:
        page = await client.list_tools(cursor=page.next_cursor)
        tools += page.tools
    return tools


def tool_name(server: str, tool: str) -> str:
    """The name of a tool for models, which OpenAI limits to these 64 characters.

    >>> tool_name("mail box", "send.now")
    'mail_box__send_now'
    """
    return re.sub(r"[^a-zA-Z0-9_-]", "_", f"{server}__{tool}")[:64]
