"""Opening a team: settings that contradict what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from multi_agent.config import Config
from multi_agent.team.open_team import check_permissions, open_team
from multi_agent.tools.toolbox import tool_of
from seedbed.errors import ConfigError
from seedbed.settings import Settings, load


def search(question: str) -> str:
    """Search."""
    return question


def test_permission_of_an_unknown_tool_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "tents.csv").write_text("name\nMarmot\n")
    fields: Any = {"database": tmp_path / "tents.csv", "permissions": {"mail.send": "deny"}}
    config = load(Config, data_dir=tmp_path / "data", **fields)
    with (
        pytest.raises(ConfigError, match=r"Unknown tool 'mail\.send'.*query_database"),
        open_team(config, load(Settings), {}),
    ):
        pass


def test_permission_of_a_server_that_is_down_is_accepted() -> None:
    permissions = {"search": "ask", "my_docs__delete": "deny"}
    check_permissions(permissions, [tool_of(search)], unavailable=["my docs"])
    with pytest.raises(ConfigError, match="my_docs__delete"):
        check_permissions(permissions, [tool_of(search)], unavailable=["other"])
