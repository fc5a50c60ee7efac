"""Cells on a Ray cluster of two nodes on this machine: the same files as without it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from research_repro.paper import Cell
from research_repro.papers import find_paper
from research_repro.runs.ray_cells import run_cells_on_ray
from research_repro.runs.sweep import Event, Sweep
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput, MissingExtra
from seedbed.testing.launch import launch_ray

STEPS = {"steps": 5}


def run(
    papers_dir: Path, tmp_path: Path, cells: list[Cell], **options: Any
) -> tuple[Sweep, list[tuple[str, str]]]:
    events: list[Event] = []
    workspace = Workspace(tmp_path / "run", tmp_path / "cache", data=options.pop("data", None))
    sweep = Sweep(cells, workspace, events.append)
    load = partial(find_paper, "toy", papers_dir)
    run_cells_on_ray(load, sweep, address=options.pop("address", "auto"), **options)
    return sweep, [(event.kind, event.cell) for event in events if event.kind != "step"]


def test_without_ray_the_error_names_the_extra(
    papers_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"research-repro\[ray\]"):
        run(papers_dir, tmp_path, [Cell("fit", 0, STEPS)])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with room for one cell each."""
    with launch_ray() as ray:
        yield ray


@pytest.mark.slow
@pytest.mark.skipif(" " in sys.executable, reason="Ray starts no workers from a path with spaces")
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")
class TestCluster:
    def test_results_and_failures_come_back(self, papers_dir: Path, tmp_path: Path) -> None:
        cells = [
            Cell("alone", 0, STEPS, cores=0),
            Cell("fit", 0, STEPS),
            Cell("raise", 0, {**STEPS, "fail": "diverged"}),
            Cell("kill", 0, {**STEPS, "exit": 9}),
        ]
        sweep, events = run(papers_dir, tmp_path, cells)
        assert set(sweep.records) == {"alone-seed0", "fit-seed0"}
        assert events[-2:] == [("started", "alone-seed0"), ("finished", "alone-seed0")]
        one, other = (record["result"] for record in sweep.records.values())
        assert one["slope"] == other["slope"]
        assert sweep.failures["raise-seed0"].startswith("RuntimeError: diverged (traceback in")
        assert sweep.failures["kill-seed0"] == "Its process on the cluster died."
        stored = Sweep(cells, sweep.workspace)
        stored.load_stored()
        assert stored.records == sweep.records

    def test_bad_input_of_a_cell_ends_the_run(self, papers_dir: Path, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match=r"contains no line\.csv"):
            run(papers_dir, tmp_path, [Cell("fit", 0, STEPS)], data=str(papers_dir))

    def test_no_cell_runs_after_the_deadline(self, papers_dir: Path, tmp_path: Path) -> None:
        cells = [Cell("fit", 0, STEPS)]
        sweep, _ = run(papers_dir, tmp_path, cells, deadline=time.time() - 1)
        assert sweep.pending() == cells

    def test_an_address_of_ray_client_is_refused(self, papers_dir: Path, tmp_path: Path) -> None:
        with pytest.raises(BadInput, match="RESEARCH_RAY_ADDRESS=auto"):
            run(papers_dir, tmp_path, [Cell("fit", 0, STEPS)], address="ray://head:10001")
