"""A run's folder: what is written, what survives a kill, what readers make of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from finetune_lora.runs.run_folder import (
    RunFolder,
    list_runs,
    new_run_folder,
    read_progress,
    read_run,
    state_of,
)
from seedbed.errors import BadInput, DiskError, NotFound

START = {
    "event": "start",
    "args": {"lr": 1e-4, "seed": 7, "output": Path("x")},
    "data": {"path": "train.jsonl", "sha256": "ab", "n": 3},
    "steps": 40,
}


def step(n: int, **more: object) -> dict[str, object]:
    return {"event": "step", "step": n, "of": 40, "loss": 2.0 / n, **more}


def test_run_is_written_and_read(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a")
    evaluation = {"event": "eval", "step": 2, "eval_loss": 0.5}
    for event in (START, step(1, loss=float("nan"), grad_norm=float("inf")), step(2), evaluation):
        run(event)
    assert read_run(run.path)["state"] == "running"
    outcome = {"steps": 2, "seconds": 1.5, "eval_loss": 0.5, "stopped_by": "time"}
    run({"event": "end", "state": "finished", **outcome})

    read, progress = read_run(run.path), read_progress(run.path)
    assert (read["state"], read["seconds"], read["results"]) == ("finished", 1.5, outcome)
    assert state_of(read) == "finished by the time limit, 2 of 40 steps"
    assert (read["seed"], read["data"]["n"], read["name"]) == (7, 3, "a")
    assert read["versions"]["torch"]
    assert progress[0] == {"step": 1, "of": 40, "loss": None, "grad_norm": None}  # JSON lacks NaN
    assert progress[1:] == [{"step": 2, "of": 40, "loss": 1.0, "eval_loss": 0.5}]  # one of a step
    assert read["last"] == progress[1]


def test_resume_drops_the_figures_of_repeated_steps(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a")
    for event in (START, *map(step, range(1, 6))):
        run(event)
    started = read_run(run.path)["started"]
    with (run.path / "progress.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # killed while writing
    del run
    again = RunFolder(tmp_path / "a")
    again(START | {"args": {"resume": True}})
    again({"event": "resume", "step": 3})
    assert len(read_progress(again.path)) == 5  # killed right now, nothing would be lost
    again(step(4))
    assert [line["step"] for line in read_progress(again.path)] == [1, 2, 3, 4]
    assert read_run(again.path)["started"] == started
    del again
    third = RunFolder(tmp_path / "a")  # killed before its first checkpoint: from the beginning
    third(START | {"args": {"resume": True}})
    third({"event": "eval", "step": 0, "eval_loss": 3.0})
    assert [line["step"] for line in read_progress(third.path)] == [0]


RUN = """
import sys
from pathlib import Path
from finetune_lora.runs.run_folder import RunFolder
run = RunFolder(Path(sys.argv[1]))
run({"event": "start", "args": {}})
run({"event": "step", "step": 1})
print("ready", flush=True)
sys.stdin.read()
"""


def test_killed_run_is_stopped_and_a_live_one_is_not_overwritten(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a")
    command, pipe = [sys.executable, "-c", RUN, run.path], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        process.stdout.readline()
        assert read_run(run.path)["state"] == "running"
        with pytest.raises(BadInput, match="in use by another process"):
            run(START)
        process.kill()
    assert read_run(run.path)["state"] == "stopped"
    assert read_progress(run.path) == [{"step": 1}]
    run(START)
    assert read_run(run.path)["state"] == "running"


def test_runs_are_named_and_listed_newest_first(tmp_path: Path) -> None:
    for name, started in (("old", "2026-01-01"), ("a", "2026-01-03"), ("b", "2026-01-02")):
        run = RunFolder(tmp_path / "runs" / name)
        run(START)
        run.update(started=started)
    names = {new_run_folder(tmp_path, "data/helpdesk/train.jsonl").name for _ in range(3)}
    assert len(names) == 3 and all("-helpdesk" in name for name in names)  # of one minute
    (run.path.with_name("old") / "run.json").write_text("{")
    assert [run["name"] for run in list_runs(tmp_path)] == ["a", "b", "old"]
    assert "not valid JSON" in list_runs(tmp_path)[2]["error"]
    with pytest.raises(NotFound, match="lists all runs"):
        read_run(tmp_path / "runs" / "c")


def test_unchanged_progress_is_not_read_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "a")
    run(START)
    run(step(1))
    assert list_runs(tmp_path)[0]["last"]["step"] == 1
    file = run.path / "progress.jsonl"
    time, size = file.stat().st_mtime_ns, file.stat().st_size
    file.write_text(" " * size)
    os.utime(file, ns=(time, time))
    assert list_runs(tmp_path)[0]["last"]["step"] == 1
    run(step(2))
    assert list_runs(tmp_path)[0]["last"]["step"] == 2


def test_full_disk_is_one_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a")
    run(START)
    run(step(1))
    (run.path / "progress.jsonl").unlink()
    (run.path / "progress.jsonl").symlink_to("/dev/full")
    with pytest.raises(DiskError, match=r"No space left.*--resume"):
        run(step(2))
    shutil.rmtree(run.path)
    run({"event": "end", "state": "failed"})  # cannot be written either: nothing is raised
