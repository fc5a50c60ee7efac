"""What the specialists and their tools work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multi_agent.config import Config
    from multi_agent.data.database import Database
    from multi_agent.data.document_index import DocumentIndex
    from multi_agent.tools.toolbox import Tool


@dataclass(frozen=True)
class Workspace:
    """What the specialists work on."""

    config: Config
    database: Database | None = None
    documents: DocumentIndex | None = None
    tools: Sequence[Tool] = ()
    """Those of MCP servers."""
