"""The tools `search` and `ask` for other programs, over the Model Context Protocol (MCP).

    rag-chatbot mcp          # an MCP server on standard input and output

Both tools are read-only: neither can add, change or delete a document.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rag_chatbot import __version__
from seedbed.errors import SeedbedError

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from rag_chatbot.chatbot import Chatbot


def create_server(chatbot: Chatbot) -> MCPServer:
    """An MCP server for a chatbot. Its client may read every collection, like the command line."""
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import ToolAnnotations
    from pydantic import ValidationError

    from rag_chatbot.chatbot import OPERATOR, Question

    class Server(MCPServer):
        async def call_tool(self, name: str, *arguments: Any) -> Any:
            try:
                return await super().call_tool(name, *arguments)
            except ToolError as error:  # wrong arguments in one line, without a link to pydantic
                if not isinstance(error.__cause__, ValidationError):
                    raise
                first = error.__cause__.errors()[0]
                field = ".".join(str(part) for part in first["loc"])
                raise ToolError(f"{name}: {field}: {first['msg']}.") from None

    read_only = ToolAnnotations(read_only_hint=True)
    server = Server(
        "rag-chatbot",
        version=__version__,
        instructions="Search documents, or ask a question and get an answer with citations.",
    )

    @server.tool(annotations=read_only)
    def list_collections() -> list[str]:
        """The names of the collections that `search` and `ask` can use."""
        with tool_errors():
            return chatbot.collections(OPERATOR)

    @server.tool(annotations=read_only)
    def search(query: str, collection: str = "default", k: int = 5) -> list[dict[str, Any]]:
        """Find the passages relevant to a query: source, heading, page, text and score."""
        with tool_errors():
            return chatbot.search(query, collection=collection, caller=OPERATOR, k=k)

    @server.tool(annotations=read_only)
    def ask(question: str, collection: str = "default") -> dict[str, Any]:
        """Answer a question from the documents, with citations, if they contain the answer."""
        with tool_errors():
            return chatbot.ask(Question(question, collection, keep=False), caller=OPERATOR)

    return server


@contextmanager
def tool_errors() -> Iterator[None]:
    """Pass messages of SeedbedError on to the client, which sees no details of other exceptions."""
    from mcp.server.mcpserver.exceptions import ToolError

    try:
        yield
    except SeedbedError as error:
        raise ToolError(str(error)) from None
