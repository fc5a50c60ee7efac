"""The tools `search` and `ask` for other programs, over the Model Context Protocol (MCP).

    rag-chatbot mcp          # an MCP server on standard input and output
    rag-chatbot serve        # one over HTTP, at /v1/mcp, beside the API and the page

The tools are read-only: none can add, change or delete a document.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import ToolAnnotations
from starlette.routing import Route

from rag_chatbot import __version__
from rag_chatbot.chatbot import OPERATOR, Chatbot, Question
from seedbed.errors import SeedbedError
from seedbed.server.callers import Caller
from seedbed.server.service import caller_of

PATH = "/v1/mcp"


def add_to(app: FastAPI, server: MCPServer) -> None:
    """Serve MCP at `/v1/mcp` of an app of `seedbed.server.service`, which checks keys and hosts.

    There are no sessions, so any of several processes can answer. The app's lifespan must be that
    of `server.session_manager.run()`.
    """
    server.streamable_http_app(
        json_response=True,
        stateless_http=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    endpoint = StreamableHTTPASGIApp(server.session_manager)
    app.router.routes.append(Route(PATH, endpoint, methods=["POST"]))


def create_server(chatbot: Chatbot) -> MCPServer:
    """An MCP server for a chatbot. Over HTTP its client may read what its API key may read.

    On standard input it may read every collection, like the command line.
    """

    read_only = ToolAnnotations(read_only_hint=True)
    server = MCPServer(
        "rag-chatbot",
        version=__version__,
        instructions="Search documents, or ask a question and get an answer with citations.",
    )

    def caller(context: Context) -> Caller:
        request = context.request_context.request  # None on standard input
        return OPERATOR if request is None else caller_of(request)

    @server.tool(annotations=read_only)
    def list_collections(context: Context) -> list[str]:
        """The names of the collections that `search` and `ask` can use."""
        with tool_errors():
            return chatbot.collections(caller(context))

    @server.tool(annotations=read_only)
    def search(
        context: Context, query: str, collection: str = "default", k: int = 5
    ) -> list[dict[str, Any]]:
        """Find the passages relevant to a query: source, heading, page, text and score."""
        with tool_errors():
            return chatbot.search(query, collection=collection, caller=caller(context), k=k)

    @server.tool(annotations=read_only)
    def ask(context: Context, question: str, collection: str = "default") -> dict[str, Any]:
        """Answer a question from the documents, with citations, if they contain the answer."""
        with tool_errors():
            return chatbot.ask(Question(question, collection, keep=False), caller=caller(context))

    return server


@contextmanager
def tool_errors() -> Iterator[None]:
    """Pass messages of SeedbedError on to the client, which sees no details of other exceptions."""
    try:
        yield
    except SeedbedError as error:
        raise ToolError(str(error)) from None
