"""An MCP server on standard input and output, whose tools behave well and badly."""

import os
import time

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

server = MCPServer("test")
READ_ONLY = ToolAnnotations(read_only_hint=True)
counts = {"counter": 0}


@server.tool(annotations=READ_ONLY)
def echo(text: str) -> str:
    """Return the text."""
    return text


@server.tool()
def send(text: str) -> str:
    """Send the text."""
    return f"sent {text}"


@server.tool()
def count() -> str:
    """Count up, from 1 when the server starts."""
    counts["counter"] += 1
    return str(counts["counter"])


@server.tool(annotations=READ_ONLY)
def hang() -> str:
    """Never return."""
    time.sleep(600)
    return ""


@server.tool()
def die_after_effect() -> str:
    """End the server."""
    os._exit(1)


@server.tool(annotations=READ_ONLY)
def fail() -> str:
    """Raise an error."""
    raise ToolError("no such city")


@server.tool(name="weather.today", annotations=READ_ONLY)
def weather_today(city: str) -> str:
    """Return the weather of a city."""
    return f"{city}: 7 °C"


if __name__ == "__main__":
    server.run("stdio")
