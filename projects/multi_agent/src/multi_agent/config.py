"""The settings of multi_agent, read from the environment (`AGENTS_*`) and from `.env`.

    load(Config, max_parallel=2)                # with `seedbed.settings.load`
    AGENTS_MAX_PARALLEL=2 multi-agent serve     # the same from a shell

The descriptions below are also the comments in `.env.example`.
"""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field

from seedbed.settings import ProjectSettings


class Config(ProjectSettings, env_prefix="AGENTS_"):
    """Data, models, tools and limits. A wrong value raises ConfigError with the variable's name."""

    data_dir: Path = Field(
        Path("var/multi_agent"),
        description="Folder of the runs, their checkpoints and the memory.",
    )
    database_url: str | None = Field(
        None,
        validation_alias=AliasChoices("SEEDBED_DATABASE_URL", "AGENTS_DATABASE_URL"),
        description="PostgreSQL database for runs and checkpoints, postgresql://USER@HOST/NAME,"
        " which several processes can share. Default: SQLite files in the data folder.",
    )
    database: Path | None = Field(
        None,
        description="Database that the analyst queries: a SQLite or DuckDB file, a CSV or Parquet"
        " file, or a folder of those. It is only read. Default: the sample shop.",
    )
    documents: Path | None = Field(
        None,
        description="Folder of the documents that the researcher quotes (Markdown, text)."
        " Default: the policies of the sample shop.",
    )
    models: dict[str, str] = Field(
        {},
        description='Model by role, as JSON: {"planner": "openai:gpt-4o", "calculator": "offline"}.'
        " Roles are planner and the names of the specialists. Default: SEEDBED_MODEL for each.",
    )
    budget: str = Field(
        "steps=20,tool_calls=40,tokens=50000,usd=0.5,seconds=120",
        description="Limits of each run, which a caller may lower but not raise. Omitted limits are"
        " unlimited.",
    )
    max_parallel: int = Field(
        3, ge=1, le=32, description="Number of specialists that work at the same time."
    )
    max_replans: int = Field(
        2, ge=0, le=10, description="How often a run may plan again after a step has failed."
    )
    mcp_servers: dict[str, str] = Field(
        {},
        description='MCP servers whose tools the team may use, as JSON: {"docs": "mcp-server-docs"}'
        ' or {"docs": "http://127.0.0.1:9000/mcp"}.',
    )
    permissions: dict[str, Literal["allow", "ask", "deny"]] = Field(
        {},
        description='Permission by tool, as JSON: {"docs__search": "ask", "docs__delete": "deny"};'
        " tools of an MCP server are named SERVER__TOOL. Default: tools that only read are allowed,"
        " others are asked for.",
    )
