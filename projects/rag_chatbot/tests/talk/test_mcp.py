import json
import os
import sys

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from rag_chatbot.chatbot import OPERATOR
from rag_chatbot.talk.mcp_server import create_server

FACT = "The harbour of Vellin opens at six in the morning."
WHEN = "When does the harbour of Vellin open?"


def structured_result(result):
    """The result of a tool call as Python data."""
    data = result.structured_content
    return data.get("result", data) if data else json.loads(result.content[0].text)


@pytest.fixture
def server(open_chatbot, config):
    """The real program over the same folder, started as a client starts it."""
    open_chatbot({"port.md": f"# Harbour\n\n{FACT}\n"}).close()
    env = {**os.environ, "RAG_DATA_DIR": str(config.data_dir), "SEEDBED_EMBEDDINGS": "hash:"}
    return StdioServerParameters(command=sys.executable, args=["-m", "rag_chatbot", "mcp"], env=env)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_mcp_client_lists_and_calls_all_tools(server):
    async with Client(server) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"list_collections", "search", "ask"}
        assert all(tool.description for tool in tools.values())
        assert structured_result(await client.call_tool("list_collections", {})) == ["default"]
        hits = structured_result(await client.call_tool("search", {"query": WHEN}))
        assert hits[0]["source"] == "port.md" and FACT in hits[0]["text"]
        answer = structured_result(await client.call_tool("ask", {"question": WHEN}))
        assert "six in the morning" in answer["answer"]
        assert answer["citations"][0]["source"] == "port.md"
        wrong = await client.call_tool("ask", {"question": WHEN, "collection": "nope"})
        assert wrong.is_error and "Unknown collection 'nope'" in wrong.content[0].text


@pytest.mark.asyncio
async def test_mcp_tool_reports_wrong_arguments_in_one_line(open_chatbot):
    async with Client(create_server(open_chatbot({"port.md": FACT}))) as client:
        for tool, arguments, message in (
            ("search", {}, "search: query: Field required."),
            ("search", {"query": "x", "k": "many"}, "search: k: Input should be a valid integer"),
            ("ask", {"query": WHEN}, "ask: question: Field required."),
        ):
            result = await client.call_tool(tool, arguments)
            assert result.is_error and result.content[0].text.startswith(message)
            assert "\n" not in result.content[0].text and "http" not in result.content[0].text


@pytest.mark.asyncio
async def test_mcp_tools_are_read_only(open_chatbot):
    bot = open_chatbot({"port.md": FACT})
    async with Client(create_server(bot)) as client:
        for question in ("x", WHEN):
            await client.call_tool("ask", {"question": question})
        assert all(t.annotations.read_only_hint for t in (await client.list_tools()).tools)
    assert bot.conversations.list("local") == []
    assert [item["source"] for item in bot.documents("default", OPERATOR)] == ["port.md"]
