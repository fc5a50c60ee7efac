"""A training job: model, data and schedule, loaded and checked before anything is written.

    job = prepare(TrainArgs(data="train.jsonl", output="my-run"))
    job.plan.planned        # number of optimizer steps

It also describes the job: for the run's record, for the adapter's task.json, and for --resume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from finetune_lora.answer.answer_schema import learn_schema
from finetune_lora.data.card import public_name
from finetune_lora.data.read import load_dataset
from finetune_lora.example import Dataset
from finetune_lora.model.base import Base, load_base
from finetune_lora.model.encode import Encoded, encode
from finetune_lora.train import processes
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.time_plan import Plan
from seedbed.errors import BadInput

_SMALL = 500e6  # parameters
# Arguments that do not change the adapter, or may name the same content in another place.
_MAY_CHANGE = "output resume max_minutes save_every micro_tokens data eval_data base".split()


@dataclass(frozen=True)
class Job:
    """Everything the loop needs, loaded and checked."""

    args: TrainArgs
    base: Base
    train: Dataset
    evaluation: Dataset | None
    encoded: list[Encoded]
    encoded_eval: list[Encoded]
    plan: Plan


def prepare(args: TrainArgs) -> Job:
    """Load and check everything; nothing is written."""
    # 1. The data, which is read faster than a model.
    train = load_dataset(args.data, columns=args.columns)
    evaluation = None
    if args.eval_data:
        labels = train.labels or None
        evaluation = load_dataset(args.eval_data, labels=labels, columns=args.columns)
    # 2. The base model.
    base = load_base(args.base, dtype=args.dtype, quantize=args.method == "qlora")
    args = _with_defaults(args, base)
    # 3. Tokens.
    cut = partial(encode, base.tokenizer, max_tokens=args.max_tokens, truncate=args.truncate)
    encoded = cut(train.examples, source=train.source)
    encoded_eval = cut(evaluation.examples, source=evaluation.source) if evaluation else []
    if len(encoded) < 2:
        raise BadInput(
            f"{args.data} has fewer than two rows with an answer to learn.",
            hint="Add rows, or raise --max-tokens.",
        )
    return Job(args, base, train, evaluation, encoded, encoded_eval, _plan(args, len(encoded)))


def _with_defaults(args: TrainArgs, base: Base) -> TrainArgs:
    """The arguments with a learning rate and a number of layers that suit the base."""
    import torch

    # Small models need a higher rate than the 2e-4 usual for large ones. Measured for 135 million
    # parameters: 3e-3 learned in 130 steps what 1e-3 had not in 150.
    lr = args.lr or (3e-3 if base.model.num_parameters() < _SMALL else 2e-4)
    layers = args.layers
    if layers is None:
        # On a CPU the upper half: the layers below need no backward pass. Measured for 30 layers:
        # adapting 15 takes 28 % less time per step and learns as much in a step.
        depth = int(base.model.config.get_text_config().num_hidden_layers)
        layers = 0 if torch.cuda.is_available() else max(1, depth // 2)
    return replace(args, lr=lr, layers=layers)


def _plan(args: TrainArgs, examples: int) -> Plan:
    """How many steps: `max_steps`, or `epochs`, or as many as suit the amount of data."""
    per_epoch = -(-examples // args.global_batch)
    # Small datasets get more epochs; the time limit cuts a plan that is too long.
    epochs = args.epochs or max(2.0, min(8.0, 8000 / examples))
    steps = args.max_steps or max(1, round(per_epoch * epochs))
    return Plan(steps, args.max_minutes * 60, max(1, round(args.warmup * steps)))


def facts(job: Job) -> dict[str, Any]:
    """The job as JSON, with absolute paths: it is resumed and evaluated from other folders too."""
    texts = dict.fromkeys(e.text for e in (job.evaluation or job.train).examples)
    return {
        "args": asdict(job.args),
        "base": job.base.spec,
        "base_hash": job.base.hash,
        "data": _data_facts(job.train) | {"columns": job.args.columns},
        "eval_data": None if job.evaluation is None else _data_facts(job.evaluation),
        "requests": [text for text in texts if 0 < len(text) <= 120][:5],  # to try on the page
        "steps": job.plan.planned,
        "processes": processes.count(),
    }


def _data_facts(dataset: Dataset) -> dict[str, Any]:
    hub = dataset.source.startswith("hf:")
    path = dataset.source if hub else str(Path(dataset.source).absolute())
    return {"path": path, "sha256": dataset.sha256, "n": len(dataset)}


def task_of(job: Job) -> dict[str, Any]:
    """The content of `task.json`: what the adapter learned, and the schema of its answers.

    It is published with the adapter: files and folders are named without their path.
    """
    train, first = job.train, [example.messages[0] for example in job.train.examples]
    systems = {message["content"] for message in first if message["role"] == "system"}
    return {
        "base": public_name(job.base.spec).removeprefix("path:"),
        "base_hash": job.base.hash,
        "data": {"name": public_name(train.source), "sha256": train.sha256, "n": len(train)},
        "labels": list(train.labels),
        "system": systems.pop() if len(systems) == 1 else None,
        "schema": None if train.labels else learn_schema(train.examples),
    }


def resumed_args(args: TrainArgs, before: Mapping[str, Any]) -> TrainArgs:
    """The arguments of an earlier job, whose `facts` are `before`, to be resumed.

    `args` may replace what does not change the adapter. Raises BadInput where it differs in
    anything else, unless by leaving an argument at its default.
    """
    eval_data = (before["eval_data"] or {}).get("path")
    paths = {"data": before["data"]["path"], "eval_data": eval_data, "base": before["base"]}
    changed = {f.name: v for f in fields(args) if (v := getattr(args, f.name)) != f.default}
    for name, value in changed.items():
        if name not in _MAY_CHANGE:
            _check_equal(name, before["args"][name], value)
    return TrainArgs(**(before["args"] | paths | changed))


def check_same(before: Mapping[str, Any], job: Job) -> None:
    """Raise BadInput unless the job has the data, base and processes of the `facts` in `before`.

    Otherwise a resumed training would not end with the adapter of an unbroken one.
    """
    now = facts(job)
    for name in ("base_hash", "data", "eval_data", "processes"):
        earlier, current = (
            fact["sha256"] if isinstance(fact, dict) else fact for fact in (before[name], now[name])
        )
        _check_equal(name, earlier, current)


def _check_equal(name: str, before: object, now: object) -> None:
    if before != now:
        raise BadInput(
            f"The run was started with {name}={before!r}, not {now!r}.",
            hint="Resume it with the same arguments and data, or choose another --output.",
        )
