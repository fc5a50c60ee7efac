"""The progress of a run, estimated from how long its cells took elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from research_repro.paper import Cell
from research_repro.runs.sweep import Event, Sweep
from research_repro.runs.workspace import Workspace

LONG, SHORT, OTHER = Cell("long", 0), Cell("short", 0), Cell("long", 7)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "run", tmp_path / "cache")


def test_share_counts_cells_by_their_durations(workspace: Workspace) -> None:
    events: list[Event] = []
    durations = {"long-seed0": 6.0, "long": 3.0, "short": 1.0}
    sweep = Sweep([SHORT, LONG, OTHER], workspace, events.append, durations=durations)
    sweep.start(SHORT)
    assert (events[-1].share, events[-1].seconds_left) == (0, None)
    sweep.finish(SHORT, {}, seconds=0.0)
    assert events[-1].share == pytest.approx(0.1)
    sweep.step(LONG, 1, 2)
    assert events[-1].share == pytest.approx(0.4)
    sweep.fail(LONG, "No memory.")
    assert events[-1].share == pytest.approx(0.7)
    assert 0 < (events[-1].seconds_left or 0) <= sweep.seconds() * 3 / 7
    sweep.finish(OTHER, {}, seconds=0.0)
    assert (events[-1].share, events[-1].seconds_left) == (1, 0)


def test_cells_of_unknown_durations_count_the_same(workspace: Workspace) -> None:
    events: list[Event] = []
    Sweep([SHORT, LONG], workspace, durations={}).finish(SHORT, {}, seconds=0.0)
    sweep = Sweep([SHORT, LONG], workspace, events.append)
    sweep.load_stored()
    assert events[-1].share == 0.5
    assert events[-1].seconds_left is None  # nothing was run yet from which to estimate it
    sweep.step(LONG, 1, 2)
    assert events[-1].share == 0.75
    assert 0 < (events[-1].seconds_left or 0) <= sweep.seconds()
