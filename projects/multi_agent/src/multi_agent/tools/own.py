"""Your own tools: functions that the operator may call, besides those of MCP servers.

Add a function with type hints and a docstring to the list, and restart:

    TOOLS = [tool_of(weather), tool_of(send_mail, effects=True)]

A tool with effects needs the user's permission, unless AGENTS_PERMISSIONS allows it, and is called
at most once for the same arguments in a run. It raises ToolError, or any other error, to say why it
failed. Only a team with a model has an operator.
"""

from __future__ import annotations

from multi_agent.tools.toolbox import Tool

TOOLS: list[Tool] = []
