"""What is done after each step of a training: a look at the clock, and a word to the listeners.

It knows the trainer's plan and counts, not how a step is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

if TYPE_CHECKING:
    from finetune_lora.train.trainer import CompletionTrainer


class Watch(TrainerCallback):
    """After each step: the clock, and what the listeners are told."""

    def __init__(self, trainer: CompletionTrainer) -> None:
        self.trainer = trainer
        self.since: tuple[float, int] = (0.0, 0)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.since = (self.trainer.job.plan.elapsed, self.trainer.note["tokens"])

    def on_step_end(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        plan = self.trainer.job.plan
        over, asked = plan.after(state.global_step), self.trainer.stopped_by == "interrupt"
        # Clocks differ: all processes follow the first one's, in when they stop and in how the
        # learning rate falls.
        if args.world_size > 1:
            first = torch.tensor([int(over), plan.total, int(asked)], device=args.device)
            torch.distributed.broadcast(first, 0)
            over, plan.total, asked = bool(first[0]), int(first[1]), bool(first[2])
        if asked and not over:
            self.trainer.stop("interrupt")
            self.trainer.control.should_save = True
        if over:
            self.trainer.stop("time" if state.global_step < plan.planned else "steps")

    def on_log(
        self,
        args: Any,  # noqa: ARG002 -- transformers may pass it by name
        state: Any,
        *_: Any,
        logs: Any = None,
        **__: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        trainer, plan = self.trainer, self.trainer.job.plan
        trainer.note["loss"] = logs["loss"]
        (then, tokens), now = self.since, (plan.elapsed, trainer.note["tokens"])
        self.since = now
        pace = plan.elapsed / max(1, state.global_step)
        event = {
            "event": "step",
            "step": state.global_step,
            "of": plan.total,
            "epoch": round(
                state.global_step * trainer.job.args.global_batch / len(trainer.job.train), 3
            ),
            "loss": logs["loss"],
            "lr": logs["learning_rate"],
            "grad_norm": logs.get("grad_norm"),
            "tokens": trainer.note["tokens"],
            "tokens_per_second": round((now[1] - tokens) / max(1e-9, now[0] - then), 1),
            "seconds": round(plan.elapsed, 2),
            "left": round(max(0, min((plan.total - state.global_step) * pace, plan.left)), 1),
        }
        trainer.tell_main(event)
