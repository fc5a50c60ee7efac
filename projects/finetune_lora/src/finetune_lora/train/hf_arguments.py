"""Converts a job to transformers' TrainingArguments."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import TrainingArguments

from finetune_lora.model import checkpoints
from finetune_lora.train.job import Job

_EVALUATIONS = 5  # per training, by default


def training_arguments(job: Job, folder: Path) -> TrainingArguments:
    a = job.args
    assert a.lr is not None  # chosen by `prepare`
    every = a.eval_every or max(1, job.plan.planned // _EVALUATIONS)
    return TrainingArguments(
        output_dir=str(checkpoints.scratch(folder)),
        max_steps=job.plan.planned,
        per_device_train_batch_size=a.batch_size,
        gradient_accumulation_steps=a.accumulation,
        learning_rate=a.lr,
        weight_decay=a.weight_decay,
        max_grad_norm=1.0,
        activation_checkpointing=a.gradient_checkpointing,
        eval_strategy="steps" if job.encoded_eval else "no",
        eval_steps=every,
        save_strategy="steps",
        save_steps=a.save_every,
        logging_steps=1,
        logging_nan_inf_filter=False,
        use_cpu=not torch.cuda.is_available(),
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        seed=a.seed,
        data_seed=a.seed,
        ddp_find_unused_parameters=False,
        # No buffer changes, and processes may differ in how many passes they make in a step.
        ddp_broadcast_buffers=False,
    )
