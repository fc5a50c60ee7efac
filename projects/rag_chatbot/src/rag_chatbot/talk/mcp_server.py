"""`search` and `ask` as tools for other programs, over the Model Context Protocol.

    rag-chatbot mcp          speaks MCP on standard input and output

Both tools read; neither can add, change or delete a document.
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
    """An MCP server over an open chatbot, for whoever runs it: it may read every collection."""
    from mcp.server.mcpserver import MCPServer
    from mcp_types import ToolAnnotations

    from rag_chatbot.chatbot import OPERATOR, Question

    reads = ToolAnnotations(read_only_hint=True)
    server = MCPServer(
        "rag-chatbot",
        version=__version__,
        instructions="Search documents, or ask for an answer with checked citations.",
    )

    @server.tool(annotations=reads)
    def search(question: str, collection: str = "default", k: int = 5) -> list[dict[str, Any]]:
        """Find the passages that bear on a question: source, heading, page, text and score."""
        with explained():
            return chatbot.search(question, collection=collection, caller=OPERATOR, k=k)

    @server.tool(annotations=reads)
    def ask(question: str, collection: str = "default") -> dict[str, Any]:
        """Answer a question from the documents, citing them; says so when they do not tell."""
        with explained():
            return chatbot.ask(Question(question, collection, keep=False), caller=OPERATOR)

    return server


@contextmanager
def explained() -> Iterator[None]:
    """Of any other exception the client would only learn that there was one."""
    from mcp.server.mcpserver.exceptions import ToolError

    try:
        yield
    except SeedbedError as error:
        raise ToolError(str(error)) from None
