"""The tools of MCP servers as tools of the team, named `server__tool`.

    tools, problems = mcp_tools({"docs": "mcp-server-docs", "web": "http://127.0.0.1:9000/mcp"})

Each call opens a connection of its own (a command is started for it), so a server that hangs or
dies leaves nothing behind. A tool has effects unless the server marks it as read-only.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from multi_agent.tools.toolbox import Tool, ToolError
from seedbed.errors import ConfigError, Unavailable
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    from mcp import Client

MAX_TEXT = 1_000_000
"""Characters of one result."""
MAX_NAME = 64
"""Characters of a tool's name: OpenAI's limit, the lowest of the vendors."""


def mcp_tools(
    servers: Mapping[str, str], seconds: float = 20.0
) -> tuple[list[Tool], dict[str, str]]:
    """The tools of all servers that respond, and the problem of each that does not.

    A server is a command or a URL; `seconds` limits the listing and each call.
    """
    found: list[tuple[str, Any]] = []
    problems: dict[str, str] = {}
    for server, address in servers.items():
        try:
            found += [(server, tool) for tool in _listing(server, address, seconds)]
        except (Unavailable, ConfigError) as error:
            problems[server] = str(error)
    names = tool_names([(server, tool.name) for server, tool in found])
    tools = [
        Tool(
            name=name,
            description=tool.description or "",
            parameters=tool.input_schema,
            function=_caller(name, tool.name, server, servers[server], seconds),
            effects=not (tool.annotations and tool.annotations.read_only_hint),
            timeout=seconds + 5,
            returns=str,
            untrusted=True,
        )
        for (server, tool), name in zip(found, names, strict=True)
    ]
    return tools, problems


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


def _listing(server: str, address: str, seconds: float) -> list[Any]:
    async def listing(client: Client) -> list[Any]:
        page = await client.list_tools()
        tools = list(page.tools)
        while page.next_cursor:
            page = await client.list_tools(cursor=page.next_cursor)
            tools += page.tools
        return tools

    tools: list[Any] = _connected(server, address, seconds, listing)
    return tools


def _caller(name: str, tool: str, server: str, address: str, seconds: float) -> Callable[..., str]:
    def function(**arguments: Any) -> str:
        async def call(client: Client) -> Any:
            return await client.call_tool(tool, arguments)

        result = _connected(server, address, seconds, call)
        text = "\n".join(getattr(part, "text", f"[{part.type}]") for part in result.content)
        if result.is_error:
            raise ToolError(f"{name}: {text[:500]}")
        return text[:MAX_TEXT]

    return function


def _connected(
    server: str, address: str, seconds: float, use: Callable[[Client], Awaitable[Any]]
) -> Any:
    """What `use` returns with a connection. Raises Unavailable, or ConfigError for no command."""
    from mcp import Client, StdioServerParameters
    from mcp.client.stdio import stdio_client

    async def connect() -> Any:
        with open(os.devnull, "w") as errors:  # noqa: PTH123 (a server's log is not ours)
            target: Any = address
            if not address.startswith(("http://", "https://")):
                command, *arguments = shlex.split(address)
                target = stdio_client(
                    StdioServerParameters(command=command, args=arguments), errlog=errors
                )
            async with asyncio.timeout(seconds), Client(target) as client:
                return await use(client)

    try:
        return asyncio.run(connect())
    except TimeoutError:
        raise Unavailable(f"MCP server {server!r} did not respond within {seconds:g} s.") from None
    except ValueError as error:  # no command, or quotes that do not match
        raise ConfigError(f"AGENTS_MCP_SERVERS: {server}={address!r}: {error}.") from None
    except Exception as error:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise Unavailable(f"MCP server {server!r}: {reason(error)}.") from error
