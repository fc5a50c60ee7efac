"""A run's folder: what is written, what survives a kill, what readers make of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from datetime import datetime, tzinfo
from pathlib import Path

import pytest

from finetune_lora.runs.run_folder import (
    RunFolder,
    list_runs,
    new_run_folder,
    read_progress,
    read_run,
)
from seedbed.errors import BadInput, DiskError, NotFound

START = {
    "event": "start",
    "args": {"lr": 1e-4, "seed": 7, "output": Path("x")},
    "base": "smollm2",
    "data": {"path": "train.jsonl", "sha256": "ab", "n": 3},
    "prompt_hash": "cd",
    "steps": 40,
}


def step(n: int, **more: object) -> dict[str, object]:
    return {"event": "step", "step": n, "of": 40, "loss": 2.0 / n, "lr": 1e-4, **more}


def end(state: str = "finished", **more: object) -> dict[str, object]:
    return {"event": "end", "state": state, "steps": 2, "seconds": 1.5, "eval_loss": 0.5, **more}


def test_a_run_is_written_and_read(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "a")
    for event in (START, step(1), step(2), {"event": "eval", "step": 2, "eval_loss": 0.5}):
        run(event)
    assert read_run(run.path)["state"] == "running"  # this process lives
    run({"event": "checkpoint", "step": 2, "path": "x"})
    run(end())

    read = read_run(run.path)
    assert (read["state"], read["seconds"], read["results"]["eval_loss"]) == ("finished", 1.5, 0.5)
    assert (read["seed"], read["data"]["n"], read["name"]) == (7, 3, "a")
    assert read["versions"]["torch"]
    assert read["cores"] == os.cpu_count()
    assert read["last"] == read_progress(run.path)[-1]
    assert read_progress(run.path)[-1]["eval_loss"] == 0.5  # of the same step: one record
    assert len(read_progress(run.path)) == 2


def test_values_json_does_not_have_become_null(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a")
    run(START)
    run(step(1) | {"loss": float("nan"), "grad_norm": float("inf")})
    run({"event": "end", "state": "failed", "error": "The loss is nan."})

    assert (
        "NaN" not in (run.path / "progress.jsonl").read_text() + (run.path / "run.json").read_text()
    )
    assert read_progress(run.path)[0]["loss"] is None
    read = read_run(run.path)
    assert (read["state"], read["error"], read["steps"]) == ("failed", "The loss is nan.", 1)


def test_resuming_cuts_off_what_happens_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a")
    for event in (START, *map(step, range(1, 6))):
        run(event)
    started = read_run(run.path)["started"]
    run.update(mlflow={"run_id": "1234"})
    with (run.path / "progress.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # killed while writing
    assert len(read_progress(run.path)) == 5

    again = RunFolder(run.path)
    again(START | {"args": {"resume": True}})
    again({"event": "resume", "step": 3})
    assert len(read_progress(run.path)) == 5  # killed right now nothing would be lost
    again(step(4, loss=9.0))

    assert [line["step"] for line in read_progress(run.path)] == [1, 2, 3, 4]
    assert read_progress(run.path)[-1]["loss"] == 9.0
    read = read_run(run.path)
    assert (read["started"], read["resumed_at"]) == (started, 3)
    assert read["mlflow"] == {"run_id": "1234"}  # the same run there too
    third = RunFolder(run.path)  # killed before its first checkpoint: from the beginning
    third(START | {"args": {"resume": True}})
    third({"event": "eval", "step": 0, "eval_loss": 3.0})
    assert [line["step"] for line in read_progress(run.path)] == [0]
    RunFolder(run.path)(START)
    assert "mlflow" not in read_run(run.path)  # without --resume it is another run


RUN = """
import sys, time
from pathlib import Path
from finetune_lora.runs.run_folder import RunFolder
run = RunFolder(Path(sys.argv[1]))
run({"event": "start", "args": {}})
run({"event": "step", "step": 1})
print("ready", flush=True)
time.sleep(600)
"""


def test_a_killed_run_reads_as_stopped_and_a_live_one_is_not_written_over(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN, tmp_path / "a"], stdout=-1) as process:
        try:
            assert process.stdout
            process.stdout.readline()
            assert read_run(tmp_path / "a")["state"] == "running"
            for host in ("another", socket.gethostname()):  # as of a container that shares the disk
                RunFolder(tmp_path / "a").update(host=host)
                with pytest.raises(BadInput, match=f"in use by process {process.pid}"):
                    RunFolder(tmp_path / "a")(START)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    for host in (socket.gethostname(), "another"):
        RunFolder(tmp_path / "a").update(host=host)
        assert read_run(tmp_path / "a")["state"] == "stopped"
    assert read_progress(tmp_path / "a") == [{"step": 1}]
    RunFolder(tmp_path / "a")(START)
    assert read_run(tmp_path / "a")["state"] == "running"


def test_a_number_used_by_another_process_since_is_not_the_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a")
    run(START)
    run.update(pid_started=read_run(run.path)["pid_started"] - 60)
    assert read_run(run.path)["state"] == "stopped"


def test_run_folders_of_the_same_minute_are_numbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Stopped:
            return cls(2026, 11, 24, 22, 10, 59, tzinfo=tz)

    monkeypatch.setattr("finetune_lora.runs.run_folder.datetime", Stopped)
    folders = [new_run_folder(tmp_path, "smollm2", "data/helpdesk/train.jsonl") for _ in range(3)]
    assert [folder.name for folder in folders] == [
        "20261124-2210-helpdesk",
        "20261124-2210-helpdesk-2",
        "20261124-2210-helpdesk-3",
    ]
    other = new_run_folder(tmp_path, "hf:org/big-7b@main", "hf:org/intents@v1:train")
    assert other.name.endswith("-intents-big-7b")
    assert new_run_folder(tmp_path, "path:/x/tiny", "a b.csv").name.endswith("-a-b-tiny")


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    for name, started in (("old", "2026-01-01"), ("a", "2026-01-03"), ("b", "2026-01-02")):
        run = RunFolder(tmp_path / "runs" / name)
        run(START)
        run.update(started=started)
    new_run_folder(tmp_path, "smollm2", "not-started.csv")
    assert [run["name"] for run in list_runs(tmp_path)] == ["a", "b", "old"]


def test_an_unknown_run_names_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Start one with `train`"):
        read_run(tmp_path / "runs" / "c")
    RunFolder(tmp_path / "runs" / "b")(START)
    with pytest.raises(NotFound, match=r"Available runs: b\.$"):
        read_run(tmp_path / "runs" / "c")


def test_a_disk_that_takes_nothing_is_one_line(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a")
    run(START)
    run(step(1))
    (run.path / "progress.jsonl").unlink()
    (run.path / "progress.jsonl").symlink_to("/dev/full")
    with pytest.raises(DiskError, match=r"No space left.*--resume"):
        run(step(2))
    shutil.rmtree(run.path)
    run(end("failed", error="No space left"))  # cannot be written either: nothing is raised
    with pytest.raises(DiskError):
        run(step(2))


def test_every_line_is_there_at_once(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a")
    run(START)
    run(step(1))
    assert json.loads((run.path / "progress.jsonl").read_text())["step"] == 1
