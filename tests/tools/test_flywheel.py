"""The flywheel turns on few mails, also after it was killed; its gate refuses worse models."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools.flywheel import passes_gate

TINY = """
from pathlib import Path
from tools.flywheel import Plan, turn
plan = Plan(Path({folder!r}), (120, 44, 12), corrections=2, training=("--max-steps", "2"))
print(turn(plan))
"""
BETTER, SAME = "'tuned' is better: +28 percentage points", "no significant difference yet: …"


@pytest.mark.parametrize(
    ("verdict", "before", "after", "promoted"),
    [
        (BETTER, 0.84, 0.87, True),
        (BETTER, 0.84, 0.75, False),
        (SAME, 0.84, 0.87, False),
        (BETTER.replace("tuned", "base"), 0.84, 0.87, False),
    ],
)
def test_gate_requires_a_win_in_the_experiment_and_at_the_desk(
    verdict: str, before: float, after: float, promoted: bool
) -> None:
    assert passes_gate("tuned", verdict, {"value": before}, {"value": after}) == promoted


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_flywheel_turns_after_it_was_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", TINY.format(folder=str(tmp_path / "turn"))]
    # 1. Kill it while the model is trained.
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout
    with process.stdout as output:
        assert any(line.startswith("A model learns") for line in output)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # 2. Start it again.
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'corrections': 2" in done.stdout
    assert done.stdout.count("'n': 12") == 3
    lessons = (tmp_path / "turn/lessons.jsonl").read_text("utf-8").splitlines()
    assert len(lessons) == 122
