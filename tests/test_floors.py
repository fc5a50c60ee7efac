"""Quality does not fall: each figure of `make eval-X` stays within its bound in `floors.toml`."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from finetune_lora.data.read import load_dataset
from finetune_lora.evaluate.baselines import NEAREST, classical
from finetune_lora.evaluate.evaluate import evaluate
from finetune_lora.helpdesk import requests_file
from seedbed.runs.evaluation import wilson_interval

ROOT = Path(__file__).parents[1]
FLOORS = tomllib.loads((ROOT / "tests/floors.toml").read_text("utf-8"))


def measure(project: str) -> Any:
    """What `make eval-X ARGS=--json` prints, with the packages that are installed."""
    stamps = (f"{sys.prefix}/{path.parent.name}.ready" for path in ROOT.glob("projects/*/src"))
    up_to_date = [word for stamp in stamps for word in ("-o", stamp)]
    command = ["make", "-s", *up_to_date, f"VENV={sys.prefix}", f"eval-{project}", "ARGS=--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def outside(project: str, result: Any) -> list[str]:
    """The figures of a result that are outside their bounds."""
    found = []
    for path, row in FLOORS[project].items():
        value = result
        for key in path.split("."):
            value = value[key]
        low, high = row.get("at_least", 0), row.get("at_most", 1)
        if not low <= value <= high:
            found.append(f"{path} is {value:.3f}, not from {low} to {high}")
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("project", sorted({*FLOORS} - {"finetune"}))
def test_evaluation_stays_within_bounds(project: str) -> None:
    assert outside(project, measure(project)) == []


@pytest.mark.slow
def test_baseline_of_finetune_lora_stays_within_bounds() -> None:
    """Its own evaluation needs a training of ten minutes; this one is what that has to beat."""
    baselines = classical(load_dataset(requests_file("train")))
    result = evaluate(load_dataset(requests_file("handwritten")), baselines)
    assert outside("finetune", result["systems"][NEAREST]) == []


@pytest.mark.parametrize("project", FLOORS)
def test_bounds_are_ends_of_measured_intervals(project: str) -> None:
    for path, row in FLOORS[project].items():
        low, high = wilson_interval(*row["measured"])
        ends = {"at_least": round(low, 3), "at_most": round(high, 3)}
        assert row == {"measured": row["measured"], **{k: ends[k] for k in ends if k in row}}, path
