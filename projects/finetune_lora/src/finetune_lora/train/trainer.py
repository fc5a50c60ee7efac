"""The training loop: transformers' Trainer with a loss, batches and checkpoints of our own.

Why this Trainer and not TRL's SFTTrainer, which builds on it: what makes training here fast (a
shared prefix computed once, logits only for what is learned) replaces just the parts that TRL adds,
and its dependencies with them. Measured side by side in the benchmark `finetune_training`.
"""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, set_seed
from transformers.trainer_callback import PrinterCallback

from finetune_lora.model import checkpoints, fused_layers
from finetune_lora.model.adapter import AdapterOptions, attach, save_adapter
from finetune_lora.model.batches import Collator
from finetune_lora.model.encode import Encoded
from finetune_lora.model.forward import token_losses
from finetune_lora.train.after_step import AfterStep, Counts
from finetune_lora.train.hf_arguments import training_arguments
from finetune_lora.train.job import Job, batches_of, facts, identity, task_of
from finetune_lora.train.keep_memory import keep_freed_memory
from finetune_lora.train.result import Listener, TrainResult, peak_memory_mb
from finetune_lora.train.signals import STOPPING, Stopped, on_signal
from seedbed.errors import SeedbedError
from seedbed.files import disk_errors

_SHORT_ROW = 512  # tokens


class TrainingFailed(SeedbedError):
    """The training cannot go on."""


def create_trainer(job: Job, folder: Path, tell: Listener) -> CompletionTrainer:
    """The trainer of a job, with a fresh adapter. Raises ConfigError for arguments that do not fit
    the base model."""
    set_seed(job.args.seed)
    a = job.args
    assert a.layers is not None  # chosen by `prepare`
    choose_attention(job)
    model = attach(job.base, AdapterOptions(a.method, a.r, a.alpha, a.dropout, a.targets, a.layers))
    with disk_errors("The run", folder, hint=checkpoints.RESUME_HINT):
        folder.mkdir(parents=True, exist_ok=True)
        trainer = CompletionTrainer(job, model, folder, tell)
    fused_layers.fuse(model)
    return trainer


def run(trainer: CompletionTrainer) -> TrainResult:
    """Train, from the last checkpoint if the job is to be resumed, and write the adapter."""
    job = trainer.job
    last = checkpoints.latest(trainer.folder) if job.args.resume else None
    if last is not None:
        trainer.restore(last)
    keep_freed_memory()
    job.plan.begin()
    with on_signal(trainer.interrupt, STOPPING):
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    if trainer.stopped_by == "interrupt":
        raise Stopped(f"Stopped after step {trainer.state.global_step}. Continue with --resume.")
    return trainer.finish()


def choose_attention(job: Job) -> None:
    """On a CPU plain attention is faster for short rows (by a tenth), and its memory grows with
    the square of their length."""
    short = max(len(e) for e in (*job.encoded, *job.encoded_eval)) <= _SHORT_ROW
    if short and not torch.cuda.is_available():
        fused_layers.use_attention(job.base.model)


class CompletionTrainer(Trainer):
    """Trains on what `Job` holds; one "batch" is a list of parts small enough for memory."""

    def __init__(self, job: Job, model: Any, folder: Path, tell: Listener) -> None:
        self.job, self.folder, self.tell = job, folder, tell
        self.counts: Counts = {"tokens": 0}
        self.stopped_by = "steps"
        self.scores: dict[str, float] = {}
        super().__init__(
            model=model,
            args=training_arguments(job, folder),
            train_dataset=job.encoded,
            eval_dataset=job.encoded_eval or None,
            data_collator=self._collate,  # type: ignore[arg-type]  # parts, not one dict
            callbacks=[
                AfterStep(
                    job,
                    self.counts,
                    self.notify_rank_zero,
                    self.stop,
                    lambda: self.stopped_by == "interrupt",
                )
            ],
        )
        self.remove_callback(PrinterCallback)
        logging.getLogger("transformers.trainer").setLevel(logging.ERROR)

    # ── what a step sees ────────────────────────────────────────────────────────────────────

    def _collate(self, examples: list[Encoded]) -> list[dict[str, torch.Tensor]]:
        pad = self.job.base.tokenizer.pad_token_id
        # Recomputing activations rules out a cache of keys and values.
        share = self.job.args.share_prefix and not self.job.args.gradient_checkpointing
        collate = Collator(pad, most_tokens=self.job.args.micro_tokens, share_prefix=share)
        counted = torch.tensor(sum(len(e) for e in examples))
        return [{**part, "tokens": counted} for part in collate(examples)]

    def get_train_dataloader(self) -> DataLoader[Any]:
        loader: DataLoader[Any] = DataLoader(
            self.job.encoded,  # type: ignore[arg-type]
            batch_sampler=batches_of(self.job),
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
        # Wrapped for several processes, gradients are averaged over them: the sum is wanted.
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
        """The norm, checked before the optimizer spoils the weights with it."""
        norm = super()._get_grad_norm(*args, **kwargs)  # type: ignore[no-untyped-call]
        if norm is not None:
            self._check_finite("gradient", torch.as_tensor(norm))
        return norm

    def _check_finite(self, what: str, value: torch.Tensor) -> None:
        if torch.isfinite(value):
            return
        last = checkpoints.latest(self.folder)
        checkpoint = f". Checkpoint {last.name} is intact" if last else ""
        raise TrainingFailed(
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
        return 0  # it would want one tensor of ids

    # ── evaluation ──────────────────────────────────────────────────────────────────────────

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
        world = self.args.world_size
        for i in range(self.args.process_index, -(-len(parts) // world) * world, world):
            if i < len(parts):
                losses = self._losses(model, parts[i])
                sums += torch.tensor([losses.double().sum(), len(losses)], device=sums.device)
        loss, n = self.accelerator.reduce(sums, "sum").tolist()
        self.scores = {"eval_loss": loss / n}
        self.notify_rank_zero({"event": "eval", "step": self.state.global_step, **self.scores})
        self.counts["evaluated"] = self.state.global_step
        self.control.should_evaluate = False  # or the Trainer's end does it once more
        return self.scores

    # ── checkpoints ─────────────────────────────────────────────────────────────────────────

    def _get_output_dir(self, *_: Any, **__: Any) -> str:
        return str(checkpoints.scratch(self.folder))

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
                saved = {
                    "identity": identity(facts(self.job)),
                    "spent": self.job.plan.elapsed,
                    "total": self.job.plan.total,
                    "counts": self.counts,
                }
                path = checkpoints.keep(self.folder, step, saved)
                self.notify_rank_zero({"event": "checkpoint", "step": step, "path": str(path)})

    def restore(self, checkpoint: Path) -> None:
        """Take up the clock and the counts where a checkpoint left them."""
        saved = json.loads((checkpoint / "job.json").read_text("utf-8"))
        self.job.plan.spent = saved["spent"]
        self.job.plan.total = saved["total"]
        self.counts.update(saved["counts"])  # in place, as the callback has the same object
        self.notify_rank_zero({"event": "resume", "step": int(checkpoint.name.rpartition("-")[2])})

    # ── the end ─────────────────────────────────────────────────────────────────────────────

    def stop(self, why: str) -> None:
        """End after this step."""
        self.stopped_by = why
        self.control.should_training_stop = True

    def interrupt(self, *_: Any) -> None:
        """End with a checkpoint after this step, and at once when asked a second time."""
        if self.stopped_by == "interrupt":
            raise Stopped("Stopped immediately. Continue from the last checkpoint with --resume.")
        self.stopped_by = "interrupt"

    def finish(self) -> TrainResult:
        """Write the adapter and return the result."""
        plan, steps = self.job.plan, self.state.global_step
        seconds = plan.elapsed
        if self.job.encoded_eval and (not self.scores or self.counts.get("evaluated") != steps):
            self.evaluate()
        if self.is_world_process_zero():
            save_adapter(
                self.accelerator.unwrap_model(self.model),
                self.job.base.tokenizer,
                self.folder,
                task_of(self.job),
            )
            checkpoints.clear(self.folder)
        result = TrainResult(
            folder=self.folder,
            state="finished",
            steps=steps,
            seconds=round(seconds, 2),
            train_loss=self.counts.get("loss"),
            eval_loss=self.scores.get("eval_loss"),
            tokens=self.counts["tokens"],
            tokens_per_second=round(self.counts["tokens"] / max(seconds, 1e-9), 1),
            peak_memory_mb=peak_memory_mb(),
            stopped_by=self.stopped_by,
        )
        self.notify_rank_zero({"event": "end", **result.as_json(), **self.scores})
        return result

    def notify_rank_zero(self, event: dict[str, Any]) -> None:
        """Tell the listeners, from the first of several processes only."""
        if self.is_world_process_zero():
            self.tell(event)
