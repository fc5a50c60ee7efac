"""A tiny training: a minute on two cores, and it fails if the loss does not fall.

The same parts as the whole job: made requests, an adapter, answers before and after, a check of
each against the tools' schema. How good the answers are is `whole_job`'s business.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import typer

from finetune_lora.jobs import jobs
from finetune_lora.jobs.whole_job import write_task

STEPS = 12
_ASKED = 6


def run(base: str | None = None, steps: int = STEPS) -> list[str]:
    """What is wrong with the result; nothing, if all is well. Keeps nothing."""
    from finetune_lora.answer.predictor import TorchPredictor
    from finetune_lora.data.read import load_dataset
    from finetune_lora.model.adapter import load_adapter, read_task
    from finetune_lora.task.tools import system_prompt
    from finetune_lora.train.train import TrainArgs
    from seedbed.settings import Settings, load

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_task(folder, steps * 16, seed=0)
        args = TrainArgs(
            data=str(folder / "train.jsonl"),
            output=str(folder / "run"),
            base=base or load(Settings).model,
            max_steps=steps,
            save_every=1000,
        )
        losses: list[float] = []
        jobs.train_run(args, track=False, watch=lambda e: losses.append(e["loss"]))
        loaded = load_adapter(folder / "run")
        asked = jobs.with_system(load_dataset(jobs.handwritten()), system_prompt())
        examples = asked.examples[:: len(asked) // _ASKED][:_ASKED]
        before = TorchPredictor(loaded, "before", bare=True).answer(examples, max_new_tokens=48)
        trained = TorchPredictor.for_task(loaded, "after", read_task(folder / "run"))
        after = trained.answer(examples, max_new_tokens=48)
    for example, old, new in zip(examples, before, after, strict=True):
        typer.echo(f"\n> {_line(example.text)}")
        typer.echo(f"  before  {_line(old.text)}\n  after   {_line(new.text)}")
    wrong = problems(losses, [answer.text for answer in after])
    for problem in wrong:
        typer.echo(f"FAILED: {problem}", err=True)
    return wrong


def problems(losses: list[float], answers: list[str]) -> list[str]:
    """A loss that did not halve, answers that are no tool call."""
    from finetune_lora.evaluate.metrics import schema_validity
    from finetune_lora.task.tools import CALL_SCHEMA

    found = []
    first, last = losses[0], sum(losses[-3:]) / 3
    typer.echo(f"\nLoss {first:.2f} → {last:.2f}")
    if not last < first / 2:
        found.append(f"the loss only fell from {first:.2f} to {last:.2f}; it should at least halve")
    valid = schema_validity(answers, CALL_SCHEMA)
    typer.echo(f"Valid tool calls: {sum(valid)} of {len(valid)}")
    if not all(valid):
        found.append("not every answer is a valid tool call")
    return found


def _line(text: Any) -> str:
    flat = " ".join(str(text).split())
    return flat if len(flat) <= 110 else f"{flat[:107]}…"
