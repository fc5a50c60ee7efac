"""Checkpoints that are whole or not there: written under another name, then renamed.

RUN/checkpoints/step-000050/   adapter, optimizer, schedule, random states, job.json
RUN/checkpoints/.writing/      one that is being written; a killed process may leave it
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from seedbed.files import replace_folder, write_text

RESUME_HINT = "Free some space and go on with --resume."
_KEPT = 2


def scratch(run: Path) -> Path:
    """Where the next checkpoint is written."""
    return run / "checkpoints" / ".writing"


def latest(run: Path) -> Path | None:
    """The newest whole checkpoint of a run."""
    return max((run / "checkpoints").glob("step-*"), default=None)


def clear(run: Path) -> None:
    """Throw away what a killed process left half written."""
    shutil.rmtree(scratch(run), ignore_errors=True)


def keep(run: Path, step: int, saved: dict[str, Any]) -> Path:
    """Make the content of `scratch` the checkpoint of `step`; remove all but the newest two."""
    (written,) = scratch(run).glob("checkpoint-*")
    write_text(written / "job.json", json.dumps(saved))
    final = run / "checkpoints" / f"step-{step:06}"
    replace_folder(written, final)
    whole = sorted((run / "checkpoints").glob("step-*"))
    for old in whole[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final
