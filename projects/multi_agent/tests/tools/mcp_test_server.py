"""An MCP server on standard input and output, whose tools behave well and badly."""

import os
import time

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

server = MCPServer("test")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def echo(text: str) -> str:
    """Return the text."""
    return text


@server.tool()
def send(text: str) -> str:
    """Send the text."""
    return f"sent {text}"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def flood() -> str:
    """Return 50 MB."""
    return "x" * 50_000_000


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def hang() -> str:
    """Never return."""
    time.sleep(600)
    return ""


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def die() -> str:
    """End the server."""
    os._exit(1)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def fail() -> str:
    """Raise an error."""
    raise ToolError("no such city")


@server.tool(name="weather.today", annotations=ToolAnnotations(read_only_hint=True))
def weather_today(city: str) -> str:
    """Return the weather of a city."""
    return f"{city}: 7 °C"


if __name__ == "__main__":
    server.run("stdio")
