"""Cells in parallel processes: order, failures, resuming after kills, no process left behind."""

from __future__ import annotations

import json
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
from research_repro.runs.pool import available_cores, run_cells
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput, Unavailable

pytestmark = pytest.mark.slow
STEPS = {"steps": 5}
Ended = tuple[dict[str, Any], dict[str, str]]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "run").mkdir()
    # float() is 0.0: with a clock that stands still, a checkpoint is due after every step.
    return Workspace(tmp_path / "run", tmp_path / "cache", clock=float, checkpoint_every_s=0)


def run(papers_dir: Path, workspace: Workspace, cells: list[Cell], **options: Any) -> Ended:
    return run_cells(partial(find_paper, "toy", papers_dir), cells, workspace, **options)


def test_cells_share_processes_and_are_written_at_once(
    papers_dir: Path, workspace: Workspace
) -> None:
    cells = [Cell("fit", seed, STEPS) for seed in range(6)]
    records, _ = run(papers_dir, workspace, cells, processes=2)
    results = [records[cell.id]["result"] for cell in cells]
    assert 1 <= len({result["process"] for result in results}) <= 2
    assert {result["threads"] for result in results} == {1}
    stored = json.loads((workspace.folder / "cells" / "fit-seed3.json").read_text())
    assert stored == records["fit-seed3"]
    assert stored["settings"] == STEPS and stored["seconds"] > 0
    assert {"commit", "started", "environment"} <= stored["origin"].keys()
    assert stored["origin"]["environment"]["versions"].keys() == {"torch", "numpy"}
    assert not list(workspace.folder.glob("checkpoints/*"))


def test_result_does_not_depend_on_the_process_and_has_six_digits(
    papers_dir: Path, workspace: Workspace
) -> None:
    first, last = Cell("fit", 0, STEPS), Cell("again", 0, STEPS)
    records, _ = run(papers_dir, workspace, [first, Cell("x", 7, STEPS), last], processes=1)
    one, other = (records[cell.id]["result"]["slope"] for cell in (first, last))
    assert one == other == float(f"{one:.6g}")


def test_cell_for_all_cores_runs_alone(papers_dir: Path, workspace: Workspace) -> None:
    cells = [Cell("a", 0, STEPS), Cell("all", 0, STEPS, cores=0), Cell("b", 0, STEPS)]
    ended: list[str] = []
    note = lambda done, total, text: ended.append(f"{text} {done}/{total}")  # noqa: E731
    records, _ = run(papers_dir, workspace, cells, processes=2, progress=note)
    assert ended == ["a-seed0 1/3", "all-seed0 2/3", "b-seed0 3/3"]
    assert records["all-seed0"]["result"]["threads"] == available_cores()


def test_failure_does_not_end_the_others(papers_dir: Path, workspace: Workspace) -> None:
    cells = [Cell("raise", 0, {**STEPS, "fail": "diverged\nat once"}), Cell("fit", 0, STEPS)]
    records, failures = run(papers_dir, workspace, cells, processes=1)
    traceback = workspace.folder / "failures" / "raise-seed0.txt"
    assert set(records) == {"fit-seed0"}
    assert failures == {"raise-seed0": f"RuntimeError: diverged (traceback in {traceback})"}
    assert "in run_cell" in traceback.read_text()


def test_bad_input_of_a_cell_ends_the_run(papers_dir: Path, workspace: Workspace) -> None:
    cells = [Cell("fit", seed, {**STEPS, "missing": "line.csv"}) for seed in range(3)]
    with pytest.raises(BadInput, match=r"line\.csv is missing\. See the README"):
        run(papers_dir, workspace, cells, processes=1)
    assert not list(workspace.folder.glob("cells/*"))


def test_killed_cell_resumes_with_equal_results(papers_dir: Path, workspace: Workspace) -> None:
    cell = Cell("fit", 3, {"steps": 40})
    undisturbed = replace(workspace, folder=workspace.folder.with_name("undisturbed"))
    expected = run(papers_dir, undisturbed, [cell], processes=1)[0][cell.id]["result"]
    for step in (3, 39):
        (workspace.folder / f"kill-{cell.id}").write_text(str(step))
        with pytest.raises(Unavailable, match=r"fit-seed3 ended; .* it continues"):
            run(papers_dir, workspace, [cell], processes=1)
    result = run(papers_dir, workspace, [cell], processes=1)[0][cell.id]["result"]
    assert (result["slope"], result["loss"]) == (expected["slope"], expected["loss"])


def test_run_continues_after_the_kill_of_its_parent(papers_dir: Path, workspace: Workspace) -> None:
    cells = [Cell("fit", seed, STEPS) for seed in range(3)]
    run(papers_dir, workspace, cells[:1], processes=1)
    (workspace.folder / "wait").touch()
    code = f"""
from functools import partial
from pathlib import Path
from research_repro.paper import Cell
from research_repro.papers import find_paper
from research_repro.runs.pool import run_cells
from research_repro.runs.workspace import Workspace

if __name__ == "__main__":
    workspace = Workspace(Path({str(workspace.folder)!r}), Path({str(workspace.cache)!r}))
    cells = [Cell("fit", seed, {STEPS}) for seed in (1, 2)]
    load = partial(find_paper, "toy", Path({str(papers_dir)!r}))
    run_cells(load, cells, workspace, processes=2)
"""
    script = workspace.folder / "script.py"
    script.write_text(code)
    for sent in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, script],
            stderr=subprocess.DEVNULL,
            # In the background of a shell, SIGINT is ignored by the tests, and by what they start.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        parent = psutil.Process(process.pid)
        while len(waiting := list(workspace.folder.glob("waits-*"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        workers = parent.children(recursive=True)
        process.send_signal(sent)
        _, alive = psutil.wait_procs(workers, timeout=60)
        process.wait(60)
        assert workers and not alive
        for path in waiting:
            path.unlink()
    (workspace.folder / "wait").unlink()
    records, failures = run(papers_dir, workspace, cells, processes=1)
    assert (records.keys(), failures) == ({cell.id for cell in cells}, {})
