"""Run the main job once, without the web server: sample tasks in, checked answers out.

    multi-agent demo      # exits with status 1 if an answer is wrong

The tasks go over the sample shop's database and policies, with the default settings, in a temporary
folder.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from multi_agent.team import open_team

if TYPE_CHECKING:
    from multi_agent.config import Config
    from seedbed.settings import Settings

TASKS: dict[str, str] = {}
"""Tasks, and a regular expression that the answer has to contain; "" for none to be given."""


def run(config: Config, settings: Settings) -> int:
    """Print the answers, each marked as right or wrong; returns the number of wrong ones."""
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="multi-agent-") as folder:
        config = config.model_copy(update={"data_dir": Path(folder), "database_url": None})
        with open_team(config, settings, asks=False) as team:
            for task, pattern in TASKS.items():
                answer = team.wait(team.start(task)).answer
                right = answer is not None and (
                    bool(re.search(pattern, answer.text)) if pattern else not answer.confident
                )
                wrong += not right
                typer.echo(f"{'✓' if right else '✗'} {task}")
                if answer:
                    typer.echo(f"  {answer.text}")
                    for line in answer.explanation.splitlines():
                        typer.echo(f"    {line}")
    return wrong
