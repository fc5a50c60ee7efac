"""Run a paper: its cells, then the verdict on each claim.

outcome = run_paper(find_paper("lora", config.papers_dir), "smoke", config)
outcome.verdicts
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from research_repro.config import Config
from research_repro.paper import Cell, Paper, Result, Results, Scale, Verdict, judge
from research_repro.runs.workspace import Workspace
from seedbed.files import write_text


def run_paper(
    paper: Paper, scale: Scale, config: Config, seeds: Sequence[int] | None = None
) -> list[Verdict]:
    """Run the cells that have no stored result, then judge the claims."""
    folder = config.data_dir / "runs" / f"{paper.name}-{scale}"
    workspace = Workspace(folder, config.data_dir / "cache", scale, config.data)
    results = {}
    for cell in paper.cells(scale, seeds or paper.seeds[scale]):
        results[cell.name, cell.seed] = _cell_result(paper, cell, workspace)
    return [judge(claim, Results(results), scale) for claim in paper.claims]


def _cell_result(paper: Paper, cell: Cell, workspace: Workspace) -> Result:
    path: Path = workspace.folder / "cells" / f"{cell.id}.json"
    if path.exists():
        return dict(json.loads(path.read_text("utf-8"))["result"])
    result = paper.run_cell(cell, workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"settings": dict(cell.settings), "result": result}) + "\n")
    return result
