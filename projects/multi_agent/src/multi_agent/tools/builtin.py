"""The team's own tools, for what the workspace offers. They only read, and return JSON data.

tools = builtin_tools(workspace)
[tool.name for tool in tools]      # ['calculate', 'search_documents', 'query_database', …]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from multi_agent.tools.exact import calculate
from multi_agent.tools.toolbox import Tool, tool_of

if TYPE_CHECKING:
    from multi_agent.config import Config
    from multi_agent.data.database import Database
    from multi_agent.data.document_index import DocumentIndex

SECONDS = 10.0  # time limit of a query


@dataclass(frozen=True)
class Workspace:
    """What the specialists work on; `tools` are those of the operator."""

    config: Config
    database: Database | None = None
    documents: DocumentIndex | None = None
    tools: Sequence[Tool] = ()


def builtin_tools(workspace: Workspace) -> list[Tool]:
    """`calculate`, and the tools for what is there: documents, database."""
    documents, database = workspace.documents, workspace.database

    def search_documents(question: str, k: int = 5) -> list[dict[str, Any]]:
        """The `k` passages of the documents that may answer a question, the best first."""
        return [asdict(passage) for passage in documents.search(question, k)] if documents else []

    def query_database(sql: str) -> dict[str, Any]:
        """Run one SELECT statement, in the dialect of the database."""
        return asdict(database.query(sql, seconds=SECONDS)) if database else {}

    tools = [tool_of(calculate)]
    tools += [tool_of(search_documents)] if documents else []
    if database:  # a query may wait for others, too
        tools.append(tool_of(query_database, max_output=1_000_000, timeout=6 * SECONDS))
    return tools
