"""A run's checkpoints: whole or not there, the newest two stay."""

from __future__ import annotations

import json
from pathlib import Path

from finetune_lora.model import checkpoints


def _save(run: Path, step: int) -> Path:
    written = checkpoints.scratch(run) / f"checkpoint-{step}"
    written.mkdir(parents=True)
    (written / "weights").write_text(str(step))
    return checkpoints.keep(run, step, {"step": step})


def _names(run: Path) -> list[str]:
    return sorted(p.name for p in (run / "checkpoints").glob("step-*"))


def test_the_newest_two_stay(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path) is None
    for step in (5, 10, 15, 20):
        path = _save(tmp_path, step)
        assert checkpoints.latest(tmp_path) == path
    assert _names(tmp_path) == ["step-000015", "step-000020"]
    assert json.loads((path / "job.json").read_text()) == {"step": 20}


def test_what_a_killed_process_left_is_no_checkpoint(tmp_path: Path) -> None:
    saved = _save(tmp_path, 5)
    half = checkpoints.scratch(tmp_path) / "checkpoint-10"
    half.mkdir(parents=True)
    (half / "weights").write_text("ha")
    assert checkpoints.latest(tmp_path) == saved
    checkpoints.clear(tmp_path)
    assert not checkpoints.scratch(tmp_path).exists()
    checkpoints.clear(tmp_path)


def test_the_same_step_is_replaced(tmp_path: Path) -> None:
    (_save(tmp_path, 5) / "weights").write_text("old")
    assert (_save(tmp_path, 5) / "weights").read_text() == "5"
