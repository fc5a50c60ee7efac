"""Train an adapter: the whole job, from a dataset to a folder that can be served.

    result = train(TrainArgs(data="train.jsonl", output="my-run"))

The loop, the optimizer, several processes and their checkpoints are transformers' Trainer
(`trainer.py`); this module prepares what it is given and keeps what comes out.
"""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from finetune_lora.answer.answer_space import AnswerSpace
from finetune_lora.data.read import load_dataset
from finetune_lora.example import Dataset
from finetune_lora.model.adapter import AdapterOptions
from finetune_lora.model.base import Base, load_base
from finetune_lora.model.batches import Batches
from finetune_lora.model.encode import Encoded, encode
from finetune_lora.runs.run_folder import read_run
from finetune_lora.train.scale import processes
from finetune_lora.train.signals import on_signal, raise_stopped
from finetune_lora.train.time_plan import Plan
from finetune_lora.train.word_dropout import without_words
from seedbed.errors import BadInput, ConfigError, SeedbedError
from seedbed.settings import Settings

_SMALL = 500e6  # parameters
_VARIANTS = 8  # of a row, when words are left out: passes beyond meet them again

Event = dict[str, Any]
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class TrainArgs:
    """The arguments of a training. `finetune-lora train` has an option for most of them.

    A dataset is anything that `load_dataset` reads: a file or hf:ORG/NAME@REV.
    """

    data: str
    """Training dataset."""
    output: str
    """Run folder for the adapter, checkpoints and logs."""
    eval_data: str | None = None
    """Dataset evaluated during training. Without one, `patience` has no effect."""
    base: str = "smollm2"
    """Base model: a catalogue name, path:DIR or hf:ORG/REPO@REV."""
    max_minutes: float = 10.0
    """Maximum training time in minutes; the learning rate schedule is fitted to it."""
    epochs: float = 0.0
    """Passes over the training data. 0 chooses a number that suits the amount of data."""
    max_steps: int = 0
    """Number of optimizer steps; overrides `epochs` unless 0."""
    lr: float | None = None
    """Peak learning rate. None chooses one by the size of the base model."""
    warmup: float = 0.06
    """Share of the steps during which the learning rate rises; after them it falls to 0."""
    weight_decay: float = 0.0
    """Weight decay of AdamW. Rarely useful for short LoRA trainings."""
    r: int = 16
    """LoRA rank. Raise it for harder tasks; memory and time per step grow with it."""
    alpha: int = 32
    """LoRA scaling numerator; updates are scaled by alpha / r."""
    dropout: float = 0.0
    """Dropout on the adapter's input (0 to 1)."""
    word_dropout: float = 0.2
    """Share of words dropped from labelled texts after the first epoch (0 to 1)."""
    method: str = "lora"
    """lora, dora, rslora or qlora. qlora, a base model in 4 bits, needs a CUDA GPU."""
    targets: str = "all-linear"
    """Layers to adapt: all-linear, or comma-separated names of linear layers."""
    layers: int | None = None
    """Number of last layers to adapt; 0 for all. None: half of them on a CPU, else all."""
    batch_size: int = 16
    """Examples per batch and process."""
    accumulation: int = 1
    """Number of batches accumulated before each optimizer step."""
    max_tokens: int = 1024
    """Token limit per row. A longer row is an error unless `truncate` is set."""
    micro_tokens: int = 1280
    """Tokens per forward pass, which bounds memory: 0.6 MB per token for SmolLM2-135M."""
    truncate: bool = False
    """Truncate rows longer than `max_tokens`."""
    dtype: str = "auto"
    """Weight type of the base model: auto, float32 or bfloat16."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, slower training."""
    share_prefix: bool = True
    """Compute a prompt prefix shared by the examples of a batch once. Exact, and faster."""
    prefix_every: int = 1
    """Recompute the shared prefix every N steps. 1 is exact; higher values are faster."""
    eval_every: int = 0
    """Steps between evaluations. 0 evaluates 5 times per training."""
    save_every: int = 50
    """Steps between checkpoints."""
    patience: int = 0
    """Stop after this many evaluations without improvement and keep the best adapter. 0: off."""
    seed: int = 0
    """Random seed of the adapter's weights, the order of examples and dropout."""
    resume: bool = False
    """Resume from the last checkpoint in `output`."""

    def __post_init__(self) -> None:
        bounds = {
            "batch_size": 1,
            "accumulation": 1,
            "r": 1,
            "max_tokens": 8,
            "micro_tokens": 8,
            "prefix_every": 1,
            "save_every": 1,
        }
        for name, least in bounds.items():
            if getattr(self, name) < least:
                raise ConfigError(
                    f"Invalid {name}: {getattr(self, name)}.", hint=f"Use {least} or more."
                )
        if self.max_minutes <= 0 or (self.lr is not None and self.lr <= 0):
            raise ConfigError(
                "--max-minutes and --lr must be greater than 0.", hint="Example: 10 and 1e-3."
            )
        AdapterOptions(self.method)  # rejects an unknown one before a folder is made
        if not 0 <= self.word_dropout < 1:
            raise ConfigError(
                f"Invalid word_dropout: {self.word_dropout}.",
                hint="Use a share from 0 to 1, e.g. 0.2.",
            )

    @property
    def global_batch(self) -> int:
        """Examples of one step, in all processes."""
        return self.batch_size * self.accumulation * processes.count()


@dataclass(frozen=True)
class TrainResult:
    """What a training came to; `stopped_by` is steps, time, patience or interrupt.

    Losses are nats a learned token, `tokens` are those trained on (padding does not count).
    """

    folder: Path
    state: str
    steps: int
    seconds: float
    train_loss: float | None
    eval_loss: float | None
    tokens: int
    tokens_per_second: float
    peak_memory_mb: int
    stopped_by: str

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder)}


@dataclass(frozen=True)
class Job:
    """What is trained on what: everything the loop needs, loaded and checked.

    `encoded` is one pass over `train`, or several, one after the other, where they differ.
    """

    args: TrainArgs
    base: Base
    train: Dataset
    evaluation: Dataset | None
    encoded: list[Encoded]
    encoded_eval: list[Encoded]
    plan: Plan


def train(
    args: TrainArgs, *, listeners: Sequence[Listener] = (), settings: Settings | None = None
) -> TrainResult:
    """Train and leave the adapter in `args.output`; listeners are told what happens.

    With `resume` it goes on from the last whole checkpoint. Raises BadInput for data or arguments
    that cannot be used, TooLarge where memory is short, TrainingFailed where the loss is no number,
    DiskError where the disk is full; checkpoints stay as they were.
    """
    from finetune_lora.train.trainer import run

    folder = Path(args.output)
    if processes.is_first():  # which may have begun to write before another one looks
        check_folder(folder, args)
    # SIGTERM would otherwise end the process without a message.
    with on_signal(raise_stopped, (signal.SIGTERM,)), processes.closing_process_group():
        job = prepare(args, settings)
        tell = _teller(listeners if processes.is_first() else ())
        tell({"event": "start", **facts(job)})
        try:
            return run(job, folder, tell)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            state = "stopped" if stopped else "failed"
            tell({"event": "end", "state": state, "error": str(error) or "Stopped."})
            raise


def prepare(args: TrainArgs, settings: Settings | None = None) -> Job:
    """Load and check everything; nothing is written."""
    dataset = load_dataset(args.data)
    if len(dataset) < 2:
        raise BadInput(
            f"{args.data} has only {len(dataset)} training row.", hint="At least two are needed."
        )
    known = dataset.labels or None
    evaluation = load_dataset(args.eval_data, labels=known) if args.eval_data else None
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
    if dataset.is_classification and args.word_dropout:
        passes = -(-plan.planned // -(-len(encoded) // args.global_batch))
        for number in range(1, min(passes, _VARIANTS)):
            seed = args.seed * 1_000_003 + number
            fewer = without_words(dataset.examples, args.word_dropout, seed)
            encoded += encode(base.tokenizer, fewer, max_tokens=args.max_tokens, truncate=True)
    return Job(args, base, dataset, evaluation, encoded, encoded_eval, plan)


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
    """What is known before the first step, for run.json and for tracking."""
    return {
        "args": asdict(job.args),
        "base": job.base.spec,
        "base_hash": job.base.hash,
        "data": _data_facts(job.train),
        "eval_data": None if job.evaluation is None else _data_facts(job.evaluation),
        "labels": list(job.train.labels),
        "prompt_hash": prompt_hash(job.train),
        "steps": job.plan.planned,
    }


def _data_facts(dataset: Dataset) -> dict[str, Any]:
    # Absolute, as reports and exports are made in other folders too.
    hub = dataset.source.startswith("hf:")
    path = dataset.source if hub else str(Path(dataset.source).absolute())
    return {"path": path, "sha256": dataset.sha256, "n": len(dataset)}


def task_of(job: Job) -> dict[str, Any]:
    """What an adapter's folder says of what it learned."""
    known = facts(job)
    space = None if job.train.labels else AnswerSpace.learn(job.train.examples)
    keep = ("base", "base_hash", "labels", "data", "prompt_hash")
    return {
        "kind": "labels" if job.train.labels else "chat",
        **{name: known[name] for name in keep},
        "max_tokens": job.args.max_tokens,
        "system": system_prompt(job.train),
        "answers": space and space.as_json(),
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


def peak_memory_mb() -> int:
    """The most memory this process ever held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6)


def check_folder(folder: Path, args: TrainArgs) -> None:
    if args.resume or not folder.exists():
        return
    if not folder.is_dir():
        raise BadInput(f"{folder} is a file, not a folder.", hint="Choose another --output.")
    trained = any((folder / name).exists() for name in ("checkpoints", "adapter_config.json"))
    if trained or ((folder / "run.json").exists() and not _failed_early(folder)):
        raise BadInput(
            f"{folder} already contains a run.",
            hint="Continue it with --resume, or choose another --output.",
        )


def _failed_early(folder: Path) -> bool:
    """Whether a run ended before its first step, so that nothing of it is lost by another start."""
    try:
        run = read_run(folder)
    except SeedbedError:  # a damaged record may be of a run that got further
        return False
    return run.get("state") in ("failed", "stopped") and not run["last"]


def _teller(listeners: Sequence[Listener]) -> Listener:
    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell


def check_same(folder: Path, job: Job) -> None:
    """Raise BadInput where a checkpoint belongs to other data or arguments than asked for now."""
    saved = json.loads((folder / "job.json").read_text("utf-8"))
    now = identity(job)
    for name, value in saved["identity"].items():
        if now.get(name) != value:
            raise BadInput(
                f"The checkpoint was written with {name}={value!r}, not {now.get(name)!r}.",
                hint="Resume with the same arguments and data, or choose another --output.",
            )


def identity(job: Job) -> dict[str, Any]:
    """What must be the same for a resumed training to end as an unbroken one."""
    free = ("output", "resume", "max_minutes", "save_every", "data", "eval_data", "micro_tokens")
    args = {k: v for k, v in asdict(job.args).items() if k not in free}
    judged = job.evaluation.sha256 if job.evaluation else None
    known = {"base_hash": job.base.hash, "data_sha256": job.train.sha256, "eval_sha256": judged}
    return {**args, **known, "processes": processes.count()}
