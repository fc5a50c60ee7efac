"""The loop for reading has the losses of the trainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from finetune_fakes import tiny_base
from transformers import set_seed

from finetune_lora.model.adapter import AdapterOptions, attach
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.job import prepare
from finetune_lora.train.loop import losses
from finetune_lora.train.train import train


def test_plain_loop_has_the_losses_of_the_trainer(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"reset {'anna ' * (1 + n % 5)} {n}", "completion": f"T-{n * n}"}
        for n in range(14)
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    args = TrainArgs(
        data=str(tmp_path / "train.jsonl"),
        output=str(tmp_path / "run"),
        base=tiny_base(tmp_path / "base"),
        max_steps=8,  # more than an epoch
        batch_size=4,
        lr=1e-2,
        weight_decay=0.1,
        dtype="float32",
        r=4,
        layers=1,
    )
    events: list[dict[str, Any]] = []
    train(args, listeners=[events.append])
    expected = [event["loss"] for event in events if event["event"] == "step"]

    job = prepare(args)
    set_seed(args.seed)
    model = attach(job.base, AdapterOptions(r=args.r, alpha=args.alpha, layers=1))
    # Equal before the first step to rounding; after it, rounding is amplified by the optimizer.
    assert list(losses(job, model)) == pytest.approx(expected, rel=1e-3)
    assert expected[-1] < expected[0]
