"""After each step of a training: checks the time limit and notifies the listeners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NotRequired, TypedDict

import torch
from transformers import TrainerCallback

from finetune_lora.train.job import Job
from finetune_lora.train.result import Listener


class Counts(TypedDict):
    """The counts that a checkpoint keeps: tokens trained on, the last loss and evaluation."""

    tokens: int
    loss: NotRequired[float]
    evaluated: NotRequired[int]  # the step of the last evaluation


class AfterStep(TrainerCallback):
    """Calls `stop` with a reason when the training has to end, and `notify` with each step's event.

    `interrupted` returns whether Ctrl-C was pressed.
    """

    def __init__(
        self,
        job: Job,
        counts: Counts,
        notify: Listener,
        stop: Callable[[str], None],
        interrupted: Callable[[], bool],
    ) -> None:
        self._job, self._counts, self._notify = job, counts, notify
        self._stop, self._interrupted = stop, interrupted
        self._since: tuple[float, int] = (0.0, 0)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._since = (self._job.plan.elapsed, self._counts["tokens"])

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        plan = self._job.plan
        over, interrupted = plan.after(state.global_step), self._interrupted()
        # Clocks differ: all processes follow the first one's, in when they stop and in how the
        # learning rate falls.
        if args.world_size > 1:
            first = torch.tensor([int(over), plan.total, int(interrupted)], device=args.device)
            torch.distributed.broadcast(first, 0)
            over, plan.total, interrupted = bool(first[0]), int(first[1]), bool(first[2])
        if interrupted and not over:
            self._stop("interrupt")
            control.should_save = True
        if over:
            self._stop("time" if state.global_step < plan.planned else "steps")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
        if not logs or "loss" not in logs:
            return
        plan, counts = self._job.plan, self._counts
        counts["loss"] = logs["loss"]
        (then, tokens), now = self._since, (plan.elapsed, counts["tokens"])
        self._since = now
        pace = plan.elapsed / max(1, state.global_step)
        passes = state.global_step * self._job.args.global_batch / len(self._job.train)
        self._notify(
            {
                "event": "step",
                "step": state.global_step,
                "of": plan.total,
                "epoch": round(passes, 3),
                "loss": logs["loss"],
                "lr": logs["learning_rate"],
                "grad_norm": logs.get("grad_norm"),
                "tokens": counts["tokens"],
                "tokens_per_second": round((now[1] - tokens) / max(1e-9, now[0] - then), 1),
                "seconds": round(plan.elapsed, 2),
                # Never more than what the time limit leaves.
                "left": round(max(0, min((plan.total - state.global_step) * pace, plan.left)), 1),
            }
        )
