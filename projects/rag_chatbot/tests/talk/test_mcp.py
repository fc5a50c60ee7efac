import json
import os
import sys

import httpx
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from rag_chatbot.talk.api import create_app
from seedbed.server.callers import Caller
from seedbed.settings import Settings
from seedbed.testing.contract import expect_error
from seedbed.testing.launch import serve_app

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
        assert all(tool.annotations.read_only_hint for tool in tools.values())
        assert structured_result(await client.call_tool("list_collections", {})) == ["default"]
        hits = structured_result(await client.call_tool("search", {"query": WHEN}))
        assert hits[0]["source"] == "port.md" and FACT in hits[0]["text"]
        answer = structured_result(await client.call_tool("ask", {"question": WHEN}))
        assert "six in the morning" in answer["answer"]
        assert answer["citations"][0]["source"] == "port.md"
        wrong = await client.call_tool("ask", {"question": WHEN, "collection": "nope"})
        assert wrong.is_error and "Unknown collection 'nope'" in wrong.content[0].text


@pytest.fixture
def address(open_chatbot):
    """The address of a server with the keys of Alice, who has a collection of her own, and Bob."""
    bot = open_chatbot({"port.md": FACT})
    bot.create_collection("alice/notes", "", "", Caller("alice"))
    with serve_app(create_app(bot, Settings(api_keys="alice=key-a,bob=key-b"))) as url:
        yield url


@pytest.mark.asyncio
async def test_mcp_over_http_reads_what_the_key_may_read(address):
    found = {}
    for key in ("key-a", "key-b"):
        async with Client(address.replace("//", f"//me:{key}@") + "/v1/mcp") as client:
            found[key] = structured_result(await client.call_tool("list_collections", {}))
            hits = structured_result(await client.call_tool("search", {"query": WHEN}))
            assert FACT in hits[0]["text"]
            private = await client.call_tool("ask", {"question": WHEN, "collection": "alice/notes"})
            assert private.is_error == (key == "key-b")
            wrong = await client.call_tool("search", {"query": "x", "k": "many"})
            assert wrong.is_error and "k" in wrong.content[0].text
    assert found == {"key-a": ["alice/notes", "default"], "key-b": ["default"]}


def test_mcp_over_http_refuses_in_the_form_of_the_api(address):
    expect_error(httpx.post(f"{address}/v1/mcp"), 401, "unauthorized")
    key = {"authorization": "Bearer key-a"}
    expect_error(httpx.get(f"{address}/v1/mcp", headers=key), 405, "method_not_allowed")
