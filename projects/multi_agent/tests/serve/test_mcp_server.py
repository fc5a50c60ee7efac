"""The team as an MCP server, with a client in the same process."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client

from multi_agent.serve.mcp_server import create_server


@pytest.mark.parametrize(
    ("task", "text", "is_error"),
    [
        ("How many orders?", "42 orders", False),
        ("How many impossible orders?", "There is no such table.", False),
        ("How many orders by city?", "waiting: Which city?", True),
        ("  ", "The task is empty.", True),
    ],
)
async def test_task_is_solved_by_a_tool_call(
    clerk_team: Any, task: str, text: str, is_error: bool
) -> None:
    async with Client(create_server(clerk_team.team)) as client:
        result: Any = await client.call_tool("solve", {"task": task})
        assert text in result.content[0].text
        assert bool(result.is_error) == is_error
        if not is_error:
            assert result.structured_content["confident"] == (task == "How many orders?")
