"""The team's own tools, for what the workspace offers. They only read, and return JSON data.

tools = builtin_tools(workspace, lambda: sandbox)
[tool.name for tool in tools]      # ['calculate', 'search_documents', 'query_database', …]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from multi_agent.tools.exact import evaluate
from multi_agent.tools.toolbox import Tool, tool_of

if TYPE_CHECKING:
    from multi_agent.data.database import Database, Rows
    from multi_agent.documents.index import DocumentIndex
    from multi_agent.tools.sandbox import Sandbox
    from multi_agent.tools.workspace import Workspace

SECONDS = 10.0  # time limit of a query, and of a program


def builtin_tools(
    workspace: Workspace, open_sandbox: Callable[[], Sandbox] | None = None
) -> list[Tool]:
    """`calculate`, and the tools for what is there: documents, database, sandbox.

    The sandbox is opened at its first call, as it compiles for some seconds.
    """
    tools = [tool_of(calculate)]
    if workspace.documents is not None:
        tools.append(_search_tool(workspace.documents))
    if workspace.database is not None:
        tools += _database_tools(workspace.database)
    if open_sandbox is not None:
        tools.append(_python_tool(open_sandbox))
    return tools


def calculate(expression: str) -> dict[str, Any]:
    """Compute an arithmetic expression exactly.

    Args:
        expression: Numbers, + - * / ** and functions, such as "240 * 15 / 100".
    """
    result = evaluate(expression)
    return {"text": result.text, "number": result.number}


def _search_tool(documents: DocumentIndex) -> Tool:
    def search_documents(question: str, k: int = 5) -> list[dict[str, Any]]:
        """Passages of the documents that may answer a question, the best first.

        Args:
            question: The question in words.
            k: Number of passages.
        """
        return [asdict(passage) for passage in documents.search(question, k)]

    return tool_of(search_documents, retries=1, untrusted=True)


def _database_tools(database: Database) -> list[Tool]:
    def query_database(sql: str) -> dict[str, Any]:
        """Run one SELECT statement.

        Args:
            sql: The statement, in the dialect of the database.
        """
        return _json_rows(database.query(sql, seconds=SECONDS))

    limits: dict[str, Any] = {"timeout": 3 * SECONDS, "untrusted": True, "max_output": 1_000_000}
    return [tool_of(query_database, **limits)]


def _json_rows(rows: Rows) -> dict[str, Any]:
    values = [[_json_value(value) for value in row] for row in rows.rows]
    return {
        "columns": list(rows.columns),
        "rows": values,
        "truncated": rows.truncated,
        "tables": sorted(rows.tables),
    }


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    return str(value)


def _python_tool(open_sandbox: Callable[[], Sandbox]) -> Tool:
    def run_python(code: str) -> dict[str, Any]:
        """Run a Python program in the sandbox, without files or network.

        Args:
            code: The program; what it prints is the result.
        """
        return asdict(open_sandbox().run(code, seconds=SECONDS))

    return tool_of(run_python, timeout=6 * SECONDS)
