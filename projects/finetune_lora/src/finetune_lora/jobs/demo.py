"""A tiny training: a minute on two cores, and it fails if the loss does not fall.

It has the parts of the whole job: help-desk requests, an adapter, its export, and answers before
and after, which are checked against the tools' schema. How good they are is not checked.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import typer

from finetune_lora.jobs.evaluate_job import helpdesk, with_system
from finetune_lora.jobs.train_job import train_run
from finetune_lora.jobs.whole_job import write_task

STEPS = 12
_EXAMPLES = 1200  # more than are trained on: the schema lists values that occur often
_REQUESTS = 6


def run(base: str | None = None, steps: int = STEPS) -> list[str]:
    """The problems of the result, an empty list if there are none. Keeps nothing."""
    from finetune_lora.answer.predictor import ChatPredictor, TorchPredictor
    from finetune_lora.data.read import load_dataset
    from finetune_lora.export import export
    from finetune_lora.helpdesk.tools import system_prompt
    from finetune_lora.model.adapter import load_adapter, read_task
    from finetune_lora.train.arguments import TrainArgs
    from seedbed.models.load import load_chat_model
    from seedbed.settings import Settings, load

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_task(folder, _EXAMPLES)
        args = TrainArgs(
            data=str(folder / "train.jsonl"),
            output=str(folder / "run"),
            base=base or load(Settings).model,
            max_steps=steps,
            save_every=1000,
        )
        losses: list[float] = []
        train_run(args, track=False, watch=lambda e: losses.append(e["loss"]))
        loaded, task = load_adapter(folder / "run"), read_task(folder / "run")
        requests = with_system(load_dataset(helpdesk("handwritten")), system_prompt())
        examples = requests.examples[:: len(requests) // _REQUESTS][:_REQUESTS]
        before = TorchPredictor(loaded, "before", bare=True).answer(examples, max_new_tokens=48)
        typer.echo("Exporting the model …", err=True)
        model = export(folder / "run", "openvino", type="Q8_0", force=False)["path"]
        chat = load_chat_model(f"path:{model}", temperature=0, max_tokens=64)
        after = ChatPredictor.for_task(chat, "after", task).answer(examples)
        chat.engine.close()  # type: ignore[attr-defined]  # its files are about to be removed
    for example, old, new in zip(examples, before, after, strict=True):
        typer.echo(f"\n> {_line(example.text)}")
        typer.echo(f"  before  {_line(old.text)}\n  after   {_line(new.text)}")
    wrong = problems(losses, [answer.text for answer in after])
    for problem in wrong:
        typer.echo(f"FAILED: {problem}", err=True)
    return wrong


def problems(losses: list[float], answers: list[str]) -> list[str]:
    """Whether the loss did not halve, and whether an answer is not a tool call."""
    from finetune_lora.evaluate.metrics import schema_validity
    from finetune_lora.helpdesk.tools import CALL_SCHEMA

    wrong = []
    first, last = losses[0], sum(losses[-3:]) / 3
    typer.echo(f"\nLoss {first:.2f} → {last:.2f}")
    if not last < first / 2:
        wrong.append(f"the loss only fell from {first:.2f} to {last:.2f}; it should at least halve")
    valid = schema_validity(answers, CALL_SCHEMA)
    typer.echo(f"Valid tool calls: {sum(valid)} of {len(valid)}")
    if not all(valid):
        wrong.append("not every answer is a valid tool call")
    return wrong


def _line(text: Any) -> str:
    flat = " ".join(str(text).split())
    return flat if len(flat) <= 110 else f"{flat[:107]}…"
