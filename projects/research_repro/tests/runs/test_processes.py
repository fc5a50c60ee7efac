"""Cells in parallel processes: order, failures, resuming after kills, no process left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from research_repro.paper import Cell
from research_repro.papers import find_paper
from research_repro.runs.processes import available_cores, run_cells
from research_repro.runs.sweep import Event, Sweep
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput

STEPS = {"steps": 5}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "run").mkdir()
    # float() is 0.0: with a clock that stands still, a checkpoint is due after every step.
    return Workspace(tmp_path / "run", tmp_path / "cache", clock=float, checkpoint_every_s=0)


def run(
    papers_dir: Path, workspace: Workspace, cells: list[Cell], **options: Any
) -> tuple[Sweep, list[Event]]:
    events: list[Event] = []
    sweep = Sweep(cells, workspace, events.append)
    sweep.load_stored()
    run_cells(partial(find_paper, "toy", papers_dir), sweep, **options)
    return sweep, events


def kinds(events: list[Event], *names: str) -> list[tuple[str, str]]:
    return [(event.kind, event.cell) for event in events if event.kind in names]


@pytest.mark.slow
class TestRun:
    def test_cells_share_processes_and_are_written_at_once(
        self, papers_dir: Path, workspace: Workspace
    ) -> None:
        cells = [Cell("fit", seed, STEPS) for seed in range(6)]
        sweep, events = run(papers_dir, workspace, cells, processes=2)
        results = [sweep.records[cell.id]["result"] for cell in cells]
        assert 1 <= len({result["process"] for result in results}) <= 2
        assert {result["threads"] for result in results} == {1}
        stored = json.loads((workspace.folder / "cells" / "fit-seed3.json").read_text())
        assert stored["result"] == results[3]
        assert stored["settings"] == STEPS
        assert events[-1].share == 1
        assert not list(workspace.folder.glob("checkpoints/*"))

    def test_the_result_does_not_depend_on_the_process(
        self, papers_dir: Path, workspace: Workspace
    ) -> None:
        first, last = Cell("fit", 0, STEPS), Cell("again", 0, STEPS)
        sweep, _ = run(papers_dir, workspace, [first, Cell("x", 7, STEPS), last], processes=1)
        one, other = (sweep.records[cell.id]["result"] for cell in (first, last))
        assert one["slope"] == other["slope"]

    def test_a_cell_for_all_cores_runs_alone(self, papers_dir: Path, workspace: Workspace) -> None:
        cells = [Cell("a", 0, STEPS), Cell("all", 0, STEPS, cores=0), Cell("b", 0, STEPS)]
        sweep, events = run(papers_dir, workspace, cells, processes=2)
        assert kinds(events, "started", "finished") == [
            (kind, cell.id) for cell in cells for kind in ("started", "finished")
        ]
        assert sweep.records["all-seed0"]["result"]["threads"] == available_cores()

    def test_one_failure_does_not_end_the_others(
        self, papers_dir: Path, workspace: Workspace
    ) -> None:
        cells = [
            Cell("raise", 0, {**STEPS, "fail": "diverged\nat once"}),
            Cell("kill", 0, {**STEPS, "exit": 9}),
            Cell("fit", 0, STEPS),
        ]
        sweep, events = run(papers_dir, workspace, cells, processes=1)
        assert set(sweep.records) == {"fit-seed0"}
        traceback = workspace.folder / "failures" / "raise-seed0.txt"
        assert sweep.failures == {
            "raise-seed0": f"RuntimeError: diverged (traceback in {traceback})",
            "kill-seed0": "Its process ended with SIGKILL (no memory?).",
        }
        assert "in run_cell" in traceback.read_text()
        assert [event.reason for event in events if event.kind == "failed"] == list(
            sweep.failures.values()
        )

    def test_bad_input_of_a_cell_ends_the_run(self, papers_dir: Path, workspace: Workspace) -> None:
        cells = [Cell("fit", seed, {**STEPS, "missing": "line.csv"}) for seed in range(3)]
        with pytest.raises(BadInput, match=r"line\.csv is missing\. See the README"):
            run(papers_dir, workspace, cells, processes=1)
        assert not list(workspace.folder.glob("cells/*"))

    def test_no_cell_starts_after_the_deadline(
        self, papers_dir: Path, workspace: Workspace
    ) -> None:
        cells = [Cell("fit", seed, STEPS) for seed in range(3)]
        sweep, events = run(papers_dir, workspace, cells, deadline=time.time() - 1)
        assert not events
        assert sweep.pending() == cells

    def test_killed_cells_resume_with_equal_results(
        self, papers_dir: Path, workspace: Workspace
    ) -> None:
        cell = Cell("fit", 3, {"steps": 40})
        undisturbed = replace(workspace, folder=workspace.folder.with_name("undisturbed"))
        expected = run(papers_dir, undisturbed, [cell], processes=1)[0].records[cell.id]["result"]
        for step in (3, 18, 39):
            (workspace.folder / f"kill-{cell.id}").write_text(str(step))
            sweep, _ = run(papers_dir, workspace, [cell], processes=1)
            assert "SIGKILL" in sweep.failures[cell.id]
        sweep, events = run(papers_dir, workspace, [cell], processes=1)
        result = sweep.records[cell.id]["result"]
        assert (result["slope"], result["loss"]) == (expected["slope"], expected["loss"])
        assert next(event.step for event in events if event.kind == "step") == 39

    def test_a_sweep_continues_after_the_kill_of_its_parent(
        self, papers_dir: Path, workspace: Workspace
    ) -> None:
        cells = [Cell("fit", seed, STEPS) for seed in range(3)]
        run(papers_dir, workspace, cells[:1], processes=1)
        (workspace.folder / "wait").touch()
        for sent in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            with Script(papers_dir, workspace) as (script, workers):
                script.send_signal(sent)
                _, alive = psutil.wait_procs(workers, timeout=60)
                assert workers and not alive
        (workspace.folder / "wait").unlink()
        sweep, events = run(papers_dir, workspace, cells, processes=1)
        assert kinds(events, "stored", "finished") == [
            ("stored", "fit-seed0"),
            ("finished", "fit-seed1"),
            ("finished", "fit-seed2"),
        ]
        assert not sweep.failures


class Script:
    """Another process that runs three cells of two processes, of which the last two wait."""

    def __init__(self, papers_dir: Path, workspace: Workspace) -> None:
        code = f"""
from functools import partial
from pathlib import Path
from research_repro.paper import Cell
from research_repro.papers import find_paper
from research_repro.runs.processes import run_cells
from research_repro.runs.sweep import Sweep
from research_repro.runs.workspace import Workspace

def report(event):
    if event.kind == "step":
        print(event.cell, flush=True)

workspace = Workspace(Path({str(workspace.folder)!r}), Path({str(workspace.cache)!r}))
sweep = Sweep([Cell("fit", seed, {STEPS}) for seed in range(3)], workspace, report)
sweep.load_stored()
run_cells(partial(find_paper, "toy", Path({str(papers_dir)!r})), sweep, processes=2)
"""
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # In the background of a shell, SIGINT is ignored by the tests, and by what they start.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def __enter__(self) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
        assert self.process.stdout is not None
        waiting = {self.process.stdout.readline() for _ in range(2)}
        assert waiting == {b"fit-seed1\n", b"fit-seed2\n"}
        return self.process, psutil.Process(self.process.pid).children(recursive=True)

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_available_cores_are_those_of_this_process() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
