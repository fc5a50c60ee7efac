"""A tiny training: a minute on two cores, and it fails if the loss does not fall.

It has the parts of the whole job: help-desk requests, an adapter, its export, and answers before
and after, which are checked against the tools' schema. How good they are is not checked.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from textwrap import shorten

import typer

from finetune_lora.answer.predictor import ChatPredictor, TorchPredictor
from finetune_lora.data.read import load_dataset
from finetune_lora.evaluate.metrics import schema_validity
from finetune_lora.export import export
from finetune_lora.helpdesk import requests_file
from finetune_lora.helpdesk.tools import CALL_SCHEMA, system_prompt
from finetune_lora.jobs.train_job import train_run
from finetune_lora.jobs.whole_job import write_task
from finetune_lora.model.adapter import load_adapter, read_task
from finetune_lora.runs.run_folder import read_progress
from finetune_lora.train.arguments import TrainArgs
from seedbed.models.load import load_chat_model
from seedbed.settings import Settings, load

_EXAMPLES = 1200  # more than are trained on: the schema lists values that occur often
_REQUESTS = 6


def run() -> list[str]:
    """The problems of the result, an empty list if there are none. Keeps nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_task(folder, _EXAMPLES)
        data, output = str(folder / "train.jsonl"), str(folder / "run")
        args = TrainArgs(data, output, base=load(Settings).model, max_steps=12, save_every=1000)
        trained = train_run(args, track=False).folder
        losses = [line["loss"] for line in read_progress(trained)]
        adapter = load_adapter(trained, dtype="float32")
        requests = load_dataset(requests_file("handwritten")).with_system(system_prompt())
        examples = requests.examples[:: len(requests) // _REQUESTS][:_REQUESTS]
        before = TorchPredictor(adapter, "before", bare=True).answer(examples, max_new_tokens=48)
        typer.echo("Exporting the model …", err=True)
        model = export(trained, "openvino", force=False, adapter=adapter)["path"]
        chat = load_chat_model(f"path:{model}", temperature=0, max_tokens=64)
        after = ChatPredictor(chat, "after", read_task(trained)).answer(examples)
        chat.engine.close()  # type: ignore[attr-defined]  # its files are about to be removed
    for example, old, new in zip(examples, before, after, strict=True):
        for title, text in (
            ("\n>", example.text),
            ("  before ", old.text),
            ("  after  ", new.text),
        ):
            typer.echo(f"{title} {shorten(text, 110, placeholder='…')}")
    wrong = problems(losses, [answer.text for answer in after])
    for problem in wrong:
        typer.echo(f"FAILED: {problem}", err=True)
    return wrong


def problems(losses: list[float], answers: list[str]) -> list[str]:
    """Whether the loss did not halve, and whether an answer is not a tool call."""
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
