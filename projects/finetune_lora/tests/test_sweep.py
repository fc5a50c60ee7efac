"""Sweeps, with a trainer that only reports: the grid, the budget, failures, going on."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from finetune_lora.jobs.sweep import parse_sweep, run_sweep
from seedbed.errors import BadInput


@dataclass(frozen=True)
class Args:
    data: str = "train.jsonl"
    output: Path = Path("out")
    max_minutes: float | None = 12.0
    lr: float = 2e-4
    r: int = 16
    method: Literal["lora", "dora"] = "lora"
    patience: int | None = None
    quantize: bool = False
    targets: str = "all-linear"
    resume: bool = False


class Trainer:
    """Finishes with a loss of r / 100, unless `outcome` says otherwise for an r."""

    def __init__(self, **outcome: Any) -> None:
        self.outcome, self.seen = outcome, []  # type: ignore[var-annotated]

    def __call__(self, args: Args) -> SimpleNamespace:
        self.seen.append(args)
        outcome = self.outcome.get(f"r{args.r}", {})
        if isinstance(outcome, BaseException):
            raise outcome
        result = {"state": "finished", "eval_loss": args.r / 100, "tokens_per_second": 300.0}
        return SimpleNamespace(**{**result, "seconds": 61.2, **outcome})


def test_the_grid_has_the_types_of_the_arguments() -> None:
    points = parse_sweep(["r=4,16", "lr=1e-4,3e-4"], Args)
    assert points == [
        {"r": 4, "lr": 1e-4},
        {"r": 4, "lr": 3e-4},
        {"r": 16, "lr": 1e-4},
        {"r": 16, "lr": 3e-4},
    ]
    assert all(type(point["r"]) is int for point in points)
    typed = parse_sweep(["method=dora quantize=true,false patience=3,3"], Args)
    assert typed[0] == {"method": "dora", "quantize": True, "patience": 3}
    assert len(typed) == 2  # the same value twice is one run
    assert parse_sweep(["max-minutes=1,2"], Args)[1] == {"max_minutes": 2.0}


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ([], "--sweep needs values"),
        (["  "], "--sweep needs values"),
        (["r"], "'r' has no values"),
        (["r="], "'r=' has no values"),
        (["r=,"], "'r=,' has no values"),
        (["rank=4"], "Unknown argument 'rank'. Available: data, lr, max_minutes, method"),
        (["output=a,b"], "Unknown argument 'output'"),
        (["r=4,many"], "r=many: Input should be a valid integer"),
        (["r=4,,8"], "r=: Input should be a valid integer"),
        (["method=full"], "method=full: Input should be 'lora' or 'dora'"),
        (["r=4", "r=8"], "'r' is given twice"),
    ],
)
def test_a_wrong_sweep_is_one_line(specs: list[str], said: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_sweep(specs, Args)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_runs_share_the_time_and_are_compared(tmp_path: Path) -> None:
    train, said = Trainer(), []  # type: ignore[var-annotated]
    points = parse_sweep(["r=16,4", "lr=1e-4,3e-4"], Args)
    sweep = run_sweep(Args(), points, tmp_path / "s", train, report=said.append)

    assert [args.max_minutes for args in train.seen] == [3.0] * 4
    assert train.seen[0].output == tmp_path / "s" / "r=16,lr=0.0001"
    assert not train.seen[0].resume
    assert said[-1] == "Run 4 of 4: r=4,lr=0.0003"
    assert sweep.best and sweep.best.point == {"r": 4, "lr": 1e-4}
    assert sweep.to_text().splitlines()[0].split() == [
        "r",
        "lr",
        "eval",
        "loss",
        "tok/s",
        "seconds",
        "state",
    ]
    assert sweep.to_text().splitlines()[3].split()[:3] == ["*", "4", "0.0001"]
    assert (tmp_path / "s" / "sweep.md").read_text() == sweep.to_markdown()
    assert "| * | 4 | 0.0001 | 0.0400 | 300 | 61 | finished |" in sweep.to_markdown()
    written = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert written["best"] == "r=4,lr=0.0001"
    assert written["runs"] == json.loads(json.dumps(sweep.as_json()["runs"]))


def test_exact_match_decides_where_it_was_measured(tmp_path: Path) -> None:
    train = Trainer(r4={"exact_match": 0.5}, r16={"exact_match": 0.75})
    sweep = run_sweep(Args(), [{"r": 4}, {"r": 16}], tmp_path, train)
    assert sweep.best and sweep.best.point == {"r": 16}
    assert "exact match" in sweep.to_text()


def test_a_failed_run_does_not_end_the_sweep(tmp_path: Path) -> None:
    train = Trainer(r4=BadInput("The loss | is nan\nat step 3."), r8=MemoryError())
    sweep = run_sweep(Args(), [{"r": 4}, {"r": 8}, {"r": 16}], tmp_path, train)
    assert [row.state for row in sweep.rows] == ["failed", "failed", "finished"]
    assert sweep.rows[1].error == "MemoryError"
    assert "failed: The loss \\| is nan at step 3. |\n" in sweep.to_markdown()
    assert sweep.best and sweep.best.point == {"r": 16}


def test_a_stopped_run_ends_it_and_resume_goes_on(tmp_path: Path) -> None:
    points = [{"r": 4}, {"r": 8}, {"r": 16}]
    sweep = run_sweep(Args(), points, tmp_path, Trainer(r8={"state": "stopped"}))
    assert [row.state for row in sweep.rows] == ["finished", "stopped"]
    with pytest.raises(BadInput, match="contains a sweep"):
        run_sweep(Args(), points, tmp_path, Trainer())
    with pytest.raises(BadInput, match=r"lr=0.0002, not 0.001"):
        run_sweep(Args(lr=1e-3), points, tmp_path, Trainer(), resume=True)

    (tmp_path / "r=8").mkdir()
    train = Trainer()
    sweep = run_sweep(Args(), points, tmp_path, train, resume=True)
    assert [(args.r, args.resume) for args in train.seen] == [(8, True), (16, False)]
    assert [row.state for row in sweep.rows] == ["finished"] * 3
    assert train.seen[0].max_minutes == 4.0  # its share as before: the runs still compare


def test_without_a_time_limit_there_is_none_to_share(tmp_path: Path) -> None:
    train = Trainer()
    run_sweep(Args(max_minutes=None), [{"r": 4}], tmp_path / "a", train)
    run_sweep(Args(), [{"max_minutes": 1.0}, {"max_minutes": 2.0}], tmp_path / "b", train)
    assert [args.max_minutes for args in train.seen] == [None, 1.0, 2.0]


def test_values_that_are_no_file_names(tmp_path: Path) -> None:
    train = Trainer()
    points = parse_sweep(["targets=../../x,/x,x"], Args)
    run_sweep(Args(), points, tmp_path, train)
    assert [args.output.name for args in train.seen] == ["targets=x", "targets=x-2", "targets=x-3"]
    assert all(args.output.parent == tmp_path for args in train.seen)


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_sweep import Args, Trainer
from finetune_lora.jobs.sweep import run_sweep
def train(args):
    if args.r == 8:
        os.kill(os.getpid(), 9)
    return Trainer()(args)
run_sweep(Args(), [{"r": 4}, {"r": 8}], Path(sys.argv[1]), train)
"""


def test_killed_and_started_again(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "s", here], check=False)
    assert done.returncode == -9
    train = Trainer()
    sweep = run_sweep(Args(), [{"r": 4}, {"r": 8}], tmp_path / "s", train, resume=True)
    assert [args.r for args in train.seen] == [8]
    assert [row.state for row in sweep.rows] == ["finished"] * 2
