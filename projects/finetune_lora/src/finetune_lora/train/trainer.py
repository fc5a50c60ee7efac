"""The training loop: transformers' Trainer with a loss, batches and checkpoints of our own.

Why this Trainer and not TRL's SFTTrainer, which builds on it: what makes training here fast (a
shared prefix computed once, logits only for what is learned) replaces just the parts that TRL adds,
and its dependencies with them. Measured side by side in the benchmark `finetune_training`.
"""

from __future__ import annotations

import ctypes
import json
import logging
import resource
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback

from finetune_lora.model import checkpoints, fused_layers
from finetune_lora.model.adapter import attach, save_adapter
from finetune_lora.model.batches import Batches, Collator
from finetune_lora.model.encode import Encoded
from finetune_lora.model.forward import token_losses
from finetune_lora.train.job import Job, facts, task_of
from finetune_lora.train.signals import STOPPING, Stopped, on_signal
from seedbed.errors import SeedbedError
from seedbed.files import disk_errors

Event = dict[str, Any]
"""`event` is start, resume, step, eval or end; the other keys depend on it."""
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class TrainResult:
    """The result of a training; `stopped_by` is steps, time or interrupt.

    Losses are nats per learned token; `tokens` counts those trained on, without padding.
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


def create_trainer(job: Job, folder: Path, tell: Listener) -> CompletionTrainer:
    """The trainer of a job, with a fresh adapter. Raises ConfigError for arguments that do not fit
    the base model."""
    a = job.args
    assert a.layers is not None  # chosen by `prepare`
    set_seed(a.seed)
    model = attach(
        job.base,
        method=a.method,
        r=a.r,
        alpha=a.alpha,
        dropout=a.dropout,
        targets=a.targets,
        layers=a.layers,
    )
    with disk_errors("The run", folder, hint=checkpoints.RESUME_HINT):
        trainer = CompletionTrainer(job, model, folder, tell)
        if trainer.args.should_save:
            checkpoints.write_job(folder, facts(job))
    fused_layers.fuse(model)
    return trainer


def run(trainer: CompletionTrainer) -> TrainResult:
    """Train, from the last checkpoint if the job is to be resumed, and write the adapter."""
    job = trainer.job
    last = checkpoints.latest(trainer.folder) if job.args.resume else None
    if last is not None:
        trainer.restore(last)
    _keep_freed_memory()
    job.plan.begin()
    with on_signal(trainer.interrupt, STOPPING):
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    if trainer.stopped_by == "interrupt":
        raise Stopped(f"Stopped after step {trainer.state.global_step}. Continue with --resume.")
    return trainer.finish()


def _keep_freed_memory() -> None:
    """Let the memory of one training step serve the next, until this process ends.

    glibc hands a large block back to the system as soon as it is free, and the system clears each
    of its pages when it is asked for again. Measured on two cores: a tenth of a training step.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "mallopt"):
        for parameter in (-3, -1):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
            libc.mallopt(parameter, 1 << 30)


class CompletionTrainer(Trainer):
    """Trains on the data of a `Job`; one "batch" is a list of parts small enough for memory."""

    def __init__(self, job: Job, model: Any, folder: Path, tell: Listener) -> None:
        self.job, self.folder, self.tell = job, folder, tell
        self.counts: dict[str, Any] = {"tokens": 0}
        self.stopped_by = "steps"
        a = job.args
        assert a.lr is not None  # chosen by `prepare`
        arguments = TrainingArguments(
            output_dir=str(checkpoints.scratch(folder)),
            max_steps=job.plan.planned,
            per_device_train_batch_size=a.batch_size,
            gradient_accumulation_steps=a.accumulation,
            learning_rate=a.lr,
            weight_decay=a.weight_decay,
            activation_checkpointing=a.gradient_checkpointing,
            eval_strategy="steps" if job.encoded_eval else "no",
            eval_steps=a.eval_every or max(1, job.plan.planned // 5),
            save_steps=a.save_every,
            logging_steps=1,
            logging_nan_inf_filter=False,
            use_cpu=not torch.cuda.is_available(),
            remove_unused_columns=False,
            disable_tqdm=True,
            report_to="none",
            seed=a.seed,
            ddp_find_unused_parameters=False,
            # No buffer changes, and processes may differ in how many passes they make in a step.
            ddp_broadcast_buffers=False,
        )
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=job.encoded,
            eval_dataset=job.encoded_eval or None,
            data_collator=self._collate,  # type: ignore[arg-type]  # parts, not one dict
        )
        self.remove_callback(PrinterCallback)
        logging.getLogger("transformers.trainer").setLevel(logging.ERROR)

    def _collate(self, examples: list[Encoded]) -> list[dict[str, torch.Tensor]]:
        pad = self.job.base.tokenizer.pad_token_id
        # Recomputing activations rules out a cache of keys and values.
        share = self.job.args.share_prefix and not self.job.args.gradient_checkpointing
        collate = Collator(pad, most_tokens=self.job.args.micro_tokens, share_prefix=share)
        counted = torch.tensor(sum(len(e) for e in examples))
        return [{**part, "tokens": counted} for part in collate(examples)]

    def get_train_dataloader(self) -> DataLoader[Any]:
        """All batches of the training, as one epoch."""
        job, size = self.job, self.job.args.batch_size
        batches = job.plan.planned * job.args.accumulation * self.args.world_size
        epochs = batches / -(-len(job.encoded) // size)
        loader: DataLoader[Any] = DataLoader(
            job.encoded,  # type: ignore[arg-type]
            batch_sampler=Batches([len(e) for e in job.encoded], size, epochs, job.args.seed),
            collate_fn=self._collate,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def create_scheduler(self, *_: Any, optimizer: Any = None, **__: Any) -> Any:
        if self.lr_scheduler is None:
            optimizer = optimizer or self.optimizer
            assert optimizer is not None
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.job.plan.factor)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _get_num_items_in_batch(
        self, batch_samples: list[Any], device: torch.device
    ) -> torch.Tensor:
        """How many learned tokens a step has, in all processes: what its loss is divided by."""
        counts = torch.tensor(
            [
                sum(len(part["labels"]) for batch in batch_samples for part in batch),
                sum(int(batch[0]["tokens"]) for batch in batch_samples),
            ],
            device=device,
        )
        totals: torch.Tensor = self.accelerator.reduce(counts, "sum")
        self.counts["tokens"] += int(totals[1])
        return totals[0]

    def training_step(  # type: ignore[override]  # inputs are the parts of `_collate`
        self, model: Any, inputs: list[Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Forward and backward for each part; gradients add up. Returns the step's mean loss."""
        model.train()
        total = torch.zeros((), device=self.args.device)
        # With several processes, gradients are averaged over them; the sum is needed.
        scale = self.accelerator.num_processes / num_items_in_batch
        for i, part in enumerate(inputs):
            last = i == len(inputs) - 1
            with self.accelerator.no_sync(model) if not last else nullcontext():
                loss = self._losses(model, part).sum() * scale
                self.accelerator.backward(loss)
            total += loss.detach()
        self._check_finite("loss", total)
        return total

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
        """The norm, checked before the optimizer corrupts the weights with it."""
        norm = super()._get_grad_norm(*args, **kwargs)  # type: ignore[no-untyped-call]
        if norm is not None:
            self._check_finite("gradient", torch.as_tensor(norm))
        return norm

    def _check_finite(self, what: str, value: torch.Tensor) -> None:
        if torch.isfinite(value):
            return
        last = checkpoints.latest(self.folder)
        checkpoint = f". Checkpoint {last.name} is intact" if last else ""
        raise SeedbedError(
            f"The {what} became {value.item()} at step {self.state.global_step + 1} with a "
            f"learning rate of {self._get_learning_rate():.2g}{checkpoint}.",
            hint=f"Start again with --lr below {self.job.args.lr:g} and another --output.",
        )

    def _losses(self, model: Any, part: dict[str, torch.Tensor]) -> torch.Tensor:
        part = self._prepare_inputs(part)
        half = self.job.base.model.dtype == torch.bfloat16
        with torch.autocast(self.args.device.type, torch.bfloat16, enabled=half):
            return token_losses(model, part)

    def floating_point_ops(self, *_: Any) -> int:
        return 0  # the Trainer's estimate needs the batch as one tensor of ids

    @torch.no_grad()
    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The mean loss of a learned token of the evaluation data."""
        model = self.model
        assert model is not None
        model.eval()
        order = sorted(self.job.encoded_eval, key=len)
        size = self.job.args.batch_size
        parts = [p for i in range(0, len(order), size) for p in self._collate(order[i : i + size])]
        sums = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for part in parts[self.args.process_index :: self.args.world_size]:
            losses = self._losses(model, part)
            sums += torch.tensor([losses.double().sum(), len(losses)], device=sums.device)
        loss, n = self.accelerator.reduce(sums, "sum").tolist()
        scores, step = {"eval_loss": loss / n}, self.state.global_step
        self.tell({"event": "eval", "step": step, **scores})
        self.counts |= {"evaluated": step, **scores}
        self.control.should_evaluate = False  # otherwise the Trainer evaluates again at its end
        return scores

    def log(self, logs: dict[str, Any], *_: Any) -> None:
        """Tell the listeners about a step, and end the training if it is the last one."""
        if "loss" not in logs:
            return
        self._check_time()
        plan, step = self.job.plan, self.state.global_step
        self.counts["loss"] = logs["loss"]
        left = (plan.total - step) * plan.elapsed / step
        self.tell(
            {
                "event": "step",
                "step": step,
                "of": plan.total,
                "epoch": round(step * self.job.args.global_batch / len(self.job.encoded), 3),
                "loss": logs["loss"],
                "lr": logs["learning_rate"],
                "grad_norm": logs.get("grad_norm"),
                "tokens": self.counts["tokens"],
                "tokens_per_second": self._tokens_per_second(),
                "seconds": round(plan.elapsed, 2),
                # Never more than what the time limit leaves.
                "left": round(max(0, min(left, plan.left)), 1),
            }
        )

    def _check_time(self) -> None:
        """End after this step if all are done, time is up or Ctrl-C was pressed."""
        plan, step = self.job.plan, self.state.global_step
        over, interrupted = plan.after(step), self.stopped_by == "interrupt"
        # Clocks differ: all processes follow the first one's, in when they stop and in how the
        # learning rate falls.
        if self.args.world_size > 1:
            first = torch.tensor([int(over), plan.total, int(interrupted)], device=self.args.device)
            torch.distributed.broadcast(first, 0)
            over, plan.total, interrupted = bool(first[0]), int(first[1]), bool(first[2])
        if over:
            self.stopped_by = "time" if step < plan.planned else "steps"
        elif interrupted:
            self.stopped_by = "interrupt"
            self.control.should_save = True
        self.control.should_training_stop = over or interrupted

    def _tokens_per_second(self) -> float:
        return round(float(self.counts["tokens"]) / max(self.job.plan.elapsed, 1e-9), 1)

    def _save_checkpoint(self, model: Any, trial: Any = None) -> None:
        step = self.state.global_step
        what = f"The checkpoint of step {step}"
        with disk_errors(what, self.folder, hint=checkpoints.RESUME_HINT):
            if self.args.should_save:
                checkpoints.clear(self.folder)
            self.accelerator.wait_for_everyone()
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                plan = self.job.plan
                counters = {"spent": plan.elapsed, "total": plan.total, "counts": self.counts}
                checkpoints.keep(self.folder, step, counters)

    def restore(self, checkpoint: Path) -> None:
        """Restore the clock and the counts of a checkpoint."""
        saved = json.loads((checkpoint / "counters.json").read_text("utf-8"))
        self.job.plan.spent = saved["spent"]
        self.job.plan.total = saved["total"]
        self.counts = saved["counts"]
        self.tell({"event": "resume", "step": int(checkpoint.name.rpartition("-")[2])})

    def interrupt(self, *_: Any) -> None:
        """Stop after this step, with a checkpoint. A second signal stops immediately."""
        if self.stopped_by == "interrupt":
            raise Stopped("Stopped immediately. Continue from the last checkpoint with --resume.")
        self.stopped_by = "interrupt"

    def finish(self) -> TrainResult:
        """Write the adapter and return the result."""
        seconds, speed = self.job.plan.elapsed, self._tokens_per_second()
        if self.job.encoded_eval and self.counts.get("evaluated") != self.state.global_step:
            self.evaluate()
        if self.args.should_save:
            model = self.accelerator.unwrap_model(self.model)
            save_adapter(model, self.job.base.tokenizer, self.folder, task_of(self.job))
            checkpoints.clear(self.folder)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        unit = 1 if sys.platform == "darwin" else 1024  # bytes
        result = TrainResult(
            folder=self.folder,
            state="finished",
            steps=self.state.global_step,
            seconds=round(seconds, 2),
            train_loss=self.counts.get("loss"),
            eval_loss=self.counts.get("eval_loss"),
            tokens=self.counts["tokens"],
            tokens_per_second=speed,
            peak_memory_mb=int(peak * unit / 1e6),
            stopped_by=self.stopped_by,
        )
        self.tell({"event": "end", **result.as_json()})
        return result
