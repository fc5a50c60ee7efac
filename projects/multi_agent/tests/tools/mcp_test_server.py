"""An MCP server whose tools behave well and badly.

    python mcp_test_server.py             # on standard input and output
    python mcp_test_server.py 8123        # over HTTP

As a command it writes its process id to the file PIDS_FILE, one per start.
"""

import os
import sys
import threading
import time
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

server = MCPServer("test")
READ_ONLY = ToolAnnotations(read_only_hint=True)
counts = {"counter": 0}
together = threading.Barrier(3, timeout=30)


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
    if path := os.environ.get("PIDS_FILE"):
        with Path(path).open("a") as file:
            file.write(f"{os.getpid()}\n")
    if sys.argv[1:]:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
