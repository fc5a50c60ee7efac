"""Run the main job once, without a server: LoRA at its smallest scale, from scratch.

research-repro demo      # exits with status 1 if a claim that should hold does not
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer

from research_repro.config import Config
from research_repro.papers import find_paper
from research_repro.report.table import claims_table
from research_repro.run import run_paper
from seedbed import cli

PAPER = "lora"


def run(config: Config) -> int:
    """Print the claims with their verdicts; returns how many should hold, but do not.

    Stored results are not used and none are left.
    """
    with tempfile.TemporaryDirectory() as folder, cli.progress(quiet=False, unit="cell"):
        config = config.model_copy(update={"data_dir": Path(folder)})
        outcome = run_paper(find_paper(PAPER, config.papers_dir), "smoke", config, [0])
    typer.echo(claims_table(outcome))
    return sum(v.expected_to_hold and not v.holds for v in outcome.verdicts)
