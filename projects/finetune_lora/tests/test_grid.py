"""Grids of trainings, with a trainer that only reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetune_lora.jobs.grid import parse_grid, run_grid
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.result import TrainResult
from seedbed.errors import BadInput


def test_grid_has_the_types_of_the_arguments() -> None:
    points = parse_grid("r=4,16 lr=1e-4,3e-4 batch-size=8", TrainArgs)
    assert points[0] == {"r": 4, "lr": 1e-4, "batch_size": 8}
    assert [point["r"] for point in points] == [4, 4, 16, 16]


@pytest.mark.parametrize("spec", ["r", "r=", "rank=4", "r=many", "r=4,,8"])
def test_wrong_grid_is_one_line(spec: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_grid(spec, TrainArgs)
    assert "\n" not in str(error.value)


def test_runs_share_the_time_and_the_best_comes_first(tmp_path: Path) -> None:
    seen: list[TrainArgs] = []

    def train(args: TrainArgs) -> TrainResult:
        seen.append(args)
        if args.r == 8:
            raise BadInput("The loss is not finite.")
        figures: dict[str, Any] = {"steps": 1, "seconds": 2.0, "train_loss": 1.0, "tokens": 1}
        figures |= {"tokens_per_second": 1.0, "peak_memory_mb": 1, "stopped_by": "time"}
        return TrainResult(Path(args.output), "finished", eval_loss=1 / args.r, **figures)

    args = TrainArgs(data="train.jsonl", output=str(tmp_path), max_minutes=12)
    rows = run_grid(args, parse_grid("r=4,8,16", TrainArgs), train)
    assert [args.max_minutes for args in seen] == [4, 4, 4]
    assert [Path(args.output).name for args in seen] == ["r=4", "r=8", "r=16"]
    assert [row["run"] for row in rows] == ["r=16", "r=4", "r=8"]
    assert rows[-1]["state"] == "failed: The loss is not finite."
