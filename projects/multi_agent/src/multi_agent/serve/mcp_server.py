"""The team as an MCP server: other programs give it tasks.

multi-agent mcp          # an MCP server on standard input and output
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multi_agent import __version__
from multi_agent.team.team import Team
from seedbed.errors import SeedbedError

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer


def create_server(team: Team) -> MCPServer:
    """A server with the tool `solve`, which only reads."""
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import ToolAnnotations

    server = MCPServer(
        "multi-agent",
        version=__version__,
        instructions="Give the team a task over its database and documents, in English.",
    )

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def solve(task: str, thread: str | None = None) -> dict[str, Any]:
        """Answer a task from the database and the documents, with evidence.

        `confident` is false where the team has no answer that it can support.
        """
        try:
            record = team.wait(team.start(task, thread))
        except SeedbedError as error:
            raise ToolError(str(error)) from None
        if record.answer is None:
            raise ToolError(f"{record.status}: {record.reason}")
        return {"run": record.id, **record.answer.model_dump(mode="json")}

    return server
