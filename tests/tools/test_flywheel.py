"""The flywheel turns on few mails, is killed in every stage, and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from tools.flywheel import Flywheel, Plan, Row, passes_gate

TINY = """
from pathlib import Path
from tools.flywheel import Flywheel, Plan
plan = Plan(Path({folder!r}), (80, 44, 12), corrections=2, training=("--max-steps", "2"))
Flywheel(plan).run()
"""
STAGES = ["split", "train round1", "compare round1", "correct"]
STAGES += ["train round2", "compare round2", "measure"]


class Counting(Flywheel):
    """Stages that take no time, one of which is stopped."""

    def __init__(self, folder: Path, stopped: str = "") -> None:
        super().__init__(Plan(folder))
        self.calls: list[str] = []
        self._stopped = stopped

    def _stage(self, name: str) -> Row:
        self.calls.append(name)
        if name == self._stopped:
            raise KeyboardInterrupt
        for file in ("train", "corrections"):
            self._write(file, [])
        return {"name": name}

    def split(self) -> Row:
        return self._stage("split")

    def train(self, name: str, rows: list[Row]) -> Row:
        assert rows == []
        return self._stage(f"train {name}")

    def compare(self, name: str) -> Row:
        return self._stage(f"compare {name}")

    def correct(self) -> Row:
        return self._stage("correct")

    def measure(self) -> list[Row]:
        return [self._stage("measure")]


@pytest.mark.parametrize("stopped", STAGES)
def test_stopped_flywheel_goes_on_with_the_stage_that_was_stopped(
    tmp_path: Path, stopped: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        Counting(tmp_path, stopped).run()
    rest = Counting(tmp_path)
    assert rest.run() == [{"name": "measure"}]
    assert rest.calls == STAGES[STAGES.index(stopped) :]


BETTER, SAME = "'round1' is better: +28 percentage points", "no significant difference yet: …"


@pytest.mark.parametrize(
    ("verdict", "before", "after", "promoted"),
    [
        (BETTER, 0.84, 0.87, True),
        (BETTER, 0.84, 0.75, False),
        (BETTER, 0.84, 0.84, False),
        (SAME, 0.84, 0.87, False),
        (BETTER.replace("round1", "base"), 0.84, 0.87, False),
    ],
)
def test_gate_refuses_a_model_that_is_not_better_in_the_experiment_and_at_the_desk(
    verdict: str, before: float, after: float, promoted: bool
) -> None:
    assert passes_gate("round1", verdict, {"value": before}, {"value": after}) == promoted


def killed_in(stage: str, output: IO[str], process: subprocess.Popen[str]) -> bool:
    """Kill the processes soon after a stage has begun; False if they ended before."""
    for line in output:
        if line.startswith(f"{stage} …"):
            time.sleep(3)  # any moment will do
            os.killpg(process.pid, signal.SIGKILL)
            return True
    return False


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_flywheel_turns_although_it_is_killed_in_every_stage(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", TINY.format(folder=str(tmp_path))]
    # 1. Kill it in each stage, then let it end.
    for stage in [*STAGES[1:], "end"]:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout
        with process.stdout:
            assert killed_in(stage, process.stdout, process) == (stage != "end")
        assert process.wait() == (0 if stage == "end" else -signal.SIGKILL)
    stages = json.loads((tmp_path / "stages.json").read_text())
    assert list(stages) == STAGES
    # 2. The corrections name their origin, and the second round has learned them.
    corrections = [json.loads(r) for r in (tmp_path / "corrections.jsonl").read_text().splitlines()]
    assert len(corrections) == 2
    assert all(row["by"] and row["case"] and " → " in row["change"] for row in corrections)
    first, second = (stages[f"train round{n}"]["result"] for n in (1, 2))
    assert (first["examples"], second["examples"], second["corrections"]) == (80, 82, "2")
    # 3. What is served has passed the gate.
    better = [f"round{n}" for n in (1, 2) if stages[f"compare round{n}"]["result"]["promoted"]]
    flywheel = Flywheel(Plan(tmp_path))
    assert flywheel.promoted() == ["base", *better]
    assert [len(row) > 0 for row in stages["measure"]["result"]] == [True] * 4
    # 4. One command takes it back.
    assert flywheel.promote(["base", "round1"]) == "round1"
    client = flywheel._mlflow()
    assert client.get_model_version_by_alias("finetune_lora", "champion").tags["round"] == "round1"
    assert (flywheel.rollback(), flywheel.rollback()) == ("base", "base")
    assert client.get_registered_model("finetune_lora").aliases == {}
