"""Checkpoints that are complete or absent: written under another name, then renamed.

RUN/checkpoints/job.json       the job, with the paths of this machine; --resume reads it
RUN/checkpoints/step-000050/   adapter, optimizer, schedule, random states, counters.json
RUN/checkpoints/.writing/      one that is being written; a killed process may leave it
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedbed.files import read_json, replace_folder, write_text

RESUME_HINT = "Free some space and go on with --resume."
_KEPT = 2


def scratch(run: Path) -> Path:
    """Where the next checkpoint is written."""
    return run / "checkpoints" / ".writing"


def write_job(run: Path, job: Mapping[str, Any]) -> None:
    """Record the job of a run, before its first checkpoint."""
    write_text(run / "checkpoints" / "job.json", json.dumps(job) + "\n")


def read_job(run: Path) -> dict[str, Any]:
    """The job of a run; {} for a folder without one."""
    file = run / "checkpoints" / "job.json"
    return read_json(file, hint="Start again with another --output.") if file.exists() else {}


def latest(run: Path) -> Path | None:
    """The newest complete checkpoint of a run."""
    return max((run / "checkpoints").glob("step-*"), default=None)


def clear(run: Path) -> None:
    """Remove what a killed process left half written."""
    shutil.rmtree(scratch(run), ignore_errors=True)


def keep(run: Path, step: int, counters: Mapping[str, Any]) -> Path:
    """Make the content of `scratch` the checkpoint of `step`; remove all but the newest two."""
    (written,) = scratch(run).glob("checkpoint-*")
    write_text(written / "counters.json", json.dumps(counters))
    final = run / "checkpoints" / f"step-{step:06}"
    replace_folder(written, final)
    for old in sorted((run / "checkpoints").glob("step-*"))[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final
