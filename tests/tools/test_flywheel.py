"""The flywheel turns on few requests, also after it was killed in the middle of a training."""

from __future__ import annotations

import ast
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools.flywheel import rate

TINY = """
from pathlib import Path
from tools.flywheel import Plan, turn
training = ("--max-steps", "4", "--save-every", "2", "--batch-size", "4", "--max-minutes", "60")
print(turn(Plan(Path({folder!r}), 24, 16, 8, 4, rounds=1, training=training)))
"""
RIGHT, OTHER = '{"name": "none", "arguments": {}}', '{"name": "x", "arguments": {}}'


def test_people_rate_and_correct_in_the_given_shares() -> None:
    chance = random.Random(0)
    up = [rate(RIGHT, RIGHT, OTHER, chance) for _ in range(10_000)]
    assert up.count({"rating": "up"}) / 10_000 == pytest.approx(0.6, abs=0.02)
    feedback = filter(None, (rate(RIGHT, OTHER, OTHER, chance) for _ in range(10_000)))
    corrections = [opinion["correction"] for opinion in feedback]
    assert len(corrections) / 10_000 == pytest.approx(0.3, abs=0.02)
    assert corrections.count(OTHER) / len(corrections) == pytest.approx(0.05, abs=0.02)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_flywheel_goes_on_after_it_was_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", TINY.format(folder=str(tmp_path))]
    # 1. Kill it while the second model is trained.
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout
    with process.stdout as output:
        assert any(line.startswith("Round 1: training") for line in output)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    first = (tmp_path / "round-0/run/adapter_model.safetensors").stat().st_mtime_ns
    # 2. Start it again: what was done is not done again.
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    start, end = ast.literal_eval(done.stdout.splitlines()[-1])
    assert (tmp_path / "round-0/run/adapter_model.safetensors").stat().st_mtime_ns == first
    assert (start["examples"], start["promoted"], end["round"]) == (24, True, 1)
    feedback = (tmp_path / "round-1/feedback.jsonl").read_text("utf-8").splitlines()
    assert end["examples"] == 24 + len(feedback) > 24
