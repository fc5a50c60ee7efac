"""The team's own tools, for what the workspace offers. They only read, and return JSON data.

tools = builtin_tools(workspace)
[tool.name for tool in tools]      # ['calculate', 'search_documents', 'query_database', …]
"""

from __future__ import annotations

import importlib.util
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from multi_agent.tools.exact import evaluate
from multi_agent.tools.toolbox import Tool, tool_of

if TYPE_CHECKING:
    from multi_agent.tools.workspace import Workspace

SECONDS = 10.0  # time limit of a query, and of a program


def builtin_tools(workspace: Workspace) -> list[Tool]:
    """`calculate`, and the tools for what is there: documents, database, sandbox."""
    documents, database = workspace.documents, workspace.database
    tools = [tool_of(calculate)]
    if documents is not None:

        def search_documents(question: str, k: int = 5) -> list[dict[str, Any]]:
            """Passages of the documents that may answer a question, the best first.

            Args:
                question: The question in words.
                k: Number of passages.
            """
            return [asdict(passage) for passage in documents.search(question, k)]

        tools.append(tool_of(search_documents))
    if database is not None:

        def query_database(sql: str) -> dict[str, Any]:
            """Run one SELECT statement.

            Args:
                sql: The statement, in the dialect of the database.
            """
            return asdict(database.query(sql, seconds=SECONDS))

        # A query may have to wait for others.
        limits: dict[str, Any] = {"timeout": 6 * SECONDS, "max_output": 1_000_000}
        tools.append(tool_of(query_database, **limits))
    if has_sandbox(workspace):
        from multi_agent.tools.sandbox.sandbox import Sandbox

        sandbox = Sandbox(workspace.config.data_dir / "sandbox")

        def run_python(code: str) -> dict[str, Any]:
            """Run a Python program in the sandbox, without files or network.

            Args:
                code: The program; what it prints is the result.
            """
            return asdict(sandbox.run(code, seconds=SECONDS))

        tools.append(tool_of(run_python, timeout=6 * SECONDS))
    return tools


def has_sandbox(workspace: Workspace) -> bool:
    """Whether programs can be run: not with AGENTS_SANDBOX=off or without the folder `sandbox`."""
    found = importlib.util.find_spec("multi_agent.tools.sandbox")
    return workspace.config.sandbox != "off" and found is not None


def calculate(expression: str) -> dict[str, Any]:
    """Compute an arithmetic expression exactly.

    Args:
        expression: Numbers, + - * / ** and functions, such as "240 * 15 / 100".
    """
    result = evaluate(expression)
    return {"text": result.text, "number": result.number}
