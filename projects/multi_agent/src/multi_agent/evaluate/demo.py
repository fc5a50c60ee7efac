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

from multi_agent.team.open_team import open_team

if TYPE_CHECKING:
    from multi_agent.config import Config
    from seedbed.settings import Settings

TASKS = {
    "How many orders were placed in May 2025?": r"^14$",
    "How long is the return window for gold members?": r"60 days",
    "A jacket costs 279 euros. What is the price after a discount of 20 percent?": r"223\.20",
    "How many products are tents, and how long is the warranty on tents?": r"\b4\b.*\b5 years\b",
    "What is 15 % of the total amount of payments in 2024?": r"9,245\.06",
    "How much does shipping to Portugal cost?": "",
}
"""Tasks, and a regular expression that the answer has to contain; "" for none to be given."""


def run(config: Config, settings: Settings) -> int:
    """Print the answers, each marked as right or wrong; returns the number of wrong ones."""
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="multi-agent-") as folder:
        sample = {"data_dir": Path(folder), "database": None, "documents": None}
        config = config.model_copy(update=sample | {"database_url": None})
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
