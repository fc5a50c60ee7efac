"""The progress of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from research_repro.paper import Cell
from research_repro.runs.sweep import Event, Sweep
from research_repro.runs.workspace import Workspace

CELLS = [Cell(name, 0) for name in ("a", "b", "c", "d")]
ORIGIN: dict[str, Any] = {"commit": None}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "run", tmp_path / "cache", code="1")


def test_share_counts_cells_and_the_steps_of_running_ones(workspace: Workspace) -> None:
    events: list[Event] = []
    sweep = Sweep(CELLS, workspace, events.append)
    sweep.start(CELLS[0])
    sweep.start(CELLS[1])
    sweep.step(CELLS[1], 1, 2)
    assert events[-1].share == 0.125
    sweep.finish(CELLS[0], {}, 1.0, ORIGIN)
    assert events[-1].share == 0.375
    sweep.fail(CELLS[1], "No memory.")
    assert (events[-1].share, events[-1].reason) == (0.5, "No memory.")
    assert [cell.name for cell in sweep.pending()] == ["b", "c", "d"]


@pytest.mark.parametrize("code", ["1", "2"])
def test_stored_result_is_used_for_the_same_code_only(workspace: Workspace, code: str) -> None:
    Sweep(CELLS, workspace).finish(CELLS[0], {"x": 1}, 1.0, ORIGIN)
    workspace.code = code
    sweep = Sweep(CELLS, workspace)
    sweep.load_stored()
    assert [record["result"] for record in sweep.records.values()] == [{"x": 1}] * (code == "1")
