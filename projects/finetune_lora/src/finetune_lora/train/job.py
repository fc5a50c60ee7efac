"""A training job: model, data and schedule, loaded and checked before anything is written.

    job = prepare(TrainArgs(data="train.jsonl", output="my-run"))
    job.plan.planned        # number of optimizer steps

It also describes the job: for the run's record, for the adapter's task.json, and for the checks of
--resume.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from finetune_lora.answer.answer_schema import learn_schema
from finetune_lora.data.read import load_dataset
from finetune_lora.example import Dataset
from finetune_lora.model.base import Base, load_base
from finetune_lora.model.batches import Batches
from finetune_lora.model.encode import Encoded, encode
from finetune_lora.train import processes
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.time_plan import Plan
from seedbed.errors import BadInput
from seedbed.settings import Settings

_SMALL = 500e6  # parameters


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


def prepare(args: TrainArgs, settings: Settings | None = None) -> Job:
    """Load and check everything; nothing is written."""
    dataset = load_dataset(args.data, columns=args.columns)
    if len(dataset) < 2:
        raise BadInput(
            f"{args.data} has only {len(dataset)} training row.", hint="At least two are needed."
        )
    evaluation = _evaluation_data(args, dataset)
    base = load_base(
        args.base, dtype=args.dtype, quantize=args.method == "qlora", settings=settings
    )
    cut = partial(encode, base.tokenizer, max_tokens=args.max_tokens, truncate=args.truncate)
    layers = suitable_layers(base) if args.layers is None else args.layers
    args = replace(args, lr=args.lr or suitable_lr(base), layers=layers)
    encoded = cut(dataset.examples, source=dataset.source)
    if len(encoded) < 2:
        raise BadInput(
            f"After truncating to {args.max_tokens} tokens, {args.data} contains no "
            "answers to learn."
        )
    encoded_eval = cut(evaluation.examples, source=evaluation.source) if evaluation else []
    plan = plan_for(args, len(encoded))
    return Job(args, base, dataset, evaluation, encoded, encoded_eval, plan)


def _evaluation_data(args: TrainArgs, train: Dataset) -> Dataset | None:
    if not args.eval_data:
        return None
    return load_dataset(args.eval_data, labels=train.labels or None, columns=args.columns)


def suitable_lr(base: Base) -> float:
    """A learning rate for LoRA: small models want a higher one than the 2e-4 usual for large ones.

    Measured for 135 million parameters: 3e-3 learned in 130 steps what 1e-3 had not in 150.
    """
    return 3e-3 if base.model.num_parameters() < _SMALL else 2e-4


def suitable_layers(base: Base) -> int:
    """How many of the last layers to train: on a CPU half of them, or all (0).

    What is below needs no backward pass. Measured for 30 layers: 15 take 28 % less time a step and
    learn as much in it.
    """
    import torch

    depth = int(base.model.config.get_text_config().num_hidden_layers)
    return 0 if torch.cuda.is_available() else max(1, depth // 2)


def plan_for(args: TrainArgs, examples: int) -> Plan:
    """How many steps: `max_steps`, or `epochs`, or as many as suit the amount of data."""
    per_epoch = -(-examples // args.global_batch)
    # Little data is seen more often; the time allowed cuts what is too much.
    epochs = args.epochs or max(2.0, min(8.0, 8000 / examples))
    steps = args.max_steps or max(1, round(per_epoch * epochs))
    return Plan(steps, args.max_minutes * 60, max(1, round(args.warmup * steps)))


def batches_of(job: Job) -> Batches:
    """The order of examples for the whole training."""
    lengths = [len(e) for e in job.encoded]
    batches = job.plan.planned * job.args.accumulation * processes.count()
    per_epoch = -(-len(lengths) // job.args.batch_size)
    return Batches(lengths, job.args.batch_size, batches / per_epoch, job.args.seed)


def facts(job: Job) -> dict[str, Any]:
    """The job as JSON, for the record of the run."""
    return {
        "args": asdict(job.args),
        "base": job.base.spec,
        "base_hash": job.base.hash,
        "data": _data_facts(job.train) | {"columns": job.args.columns},
        "eval_data": None if job.evaluation is None else _data_facts(job.evaluation),
        "labels": list(job.train.labels),
        "requests": _short_requests(job.evaluation or job.train),
        "prompt_hash": prompt_hash(job.train),
        "steps": job.plan.planned,
        "processes": processes.count(),
    }


def _short_requests(dataset: Dataset) -> list[str]:
    """Requests to try on the page."""
    texts = dict.fromkeys(example.text for example in dataset.examples)
    return [text for text in texts if 0 < len(text) <= 120][:5]


def _data_facts(dataset: Dataset) -> dict[str, Any]:
    # Absolute, as reports and exports are made in other folders too.
    hub = dataset.source.startswith("hf:")
    path = dataset.source if hub else str(Path(dataset.source).absolute())
    return {"path": path, "sha256": dataset.sha256, "n": len(dataset)}


def task_of(job: Job) -> dict[str, Any]:
    """The content of `task.json`: what the adapter learned, and the schema of its answers."""
    described = facts(job)
    keep = ("base", "base_hash", "labels", "data", "prompt_hash")
    return {
        "kind": "labels" if job.train.labels else "chat",
        **{name: described[name] for name in keep},
        "max_tokens": job.args.max_tokens,
        "system": system_prompt(job.train),
        "schema": None if job.train.labels else learn_schema(job.train.examples),
    }


def system_prompt(dataset: Dataset) -> str | None:
    """The system message that all examples have in common, if they do."""
    prompts = {
        e.messages[0]["content"] for e in dataset.examples if e.messages[0]["role"] == "system"
    }
    return prompts.pop() if len(prompts) == 1 else None


def prompt_hash(dataset: Dataset) -> str:
    """Twelve hex digits of the system messages that the examples open with."""
    prompts = sorted(
        {e.messages[0]["content"] for e in dataset.examples if e.messages[0]["role"] == "system"}
    )
    return hashlib.sha256("\0".join(prompts).encode()).hexdigest()[:12]


def identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for a resumed training to end with the same adapter as an unbroken one.

    `facts` are those of a job, or the `run.json` that recorded them.
    """
    free = ("output", "resume", "max_minutes", "save_every", "data", "eval_data", "micro_tokens")
    args = {name: value for name, value in facts["args"].items() if name not in free}
    return {
        **args,
        "base_hash": facts["base_hash"],
        "data_sha256": facts["data"]["sha256"],
        "eval_sha256": (facts["eval_data"] or {}).get("sha256"),
        "processes": facts["processes"],
    }


def check_same(before: Mapping[str, Any], job: Job) -> None:
    """Raise BadInput if an earlier `identity` differs from that of the job."""
    now = identity(facts(job))
    for name, value in before.items():
        if now.get(name) != value:
            raise BadInput(
                f"The run was started with {name}={value!r}, not {now.get(name)!r}.",
                hint="Resume with the same arguments and data, or choose another --output.",
            )
