"""The training loop in plain torch, for reading: the same losses as `trainer.py`, step by step.

    job = prepare(TrainArgs(data="train.jsonl", output="run", max_steps=20))
    for loss in losses(job, attach(job.base, AdapterOptions())):
        print(loss)

`trainer.py` adds what a real training needs: checkpoints, a time limit, several processes, batches
in parts that fit into memory, and layers that compute the same in less time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from finetune_lora.model.encode import Encoded
from finetune_lora.train.job import Job, batches_of

_MAX_NORM = 1.0  # of the gradient, as the trainer clips it
_IGNORE = -100  # the label of a position that cross_entropy leaves out


def losses(job: Job, model: Any) -> Iterator[float]:
    """Train a model with a fresh adapter; yields the loss of each step."""
    args, plan, pad = job.args, job.plan, job.base.tokenizer.pad_token_id
    assert args.lr is not None  # chosen by `prepare`
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=args.lr, weight_decay=args.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, plan.factor)
    model.train()
    for indices in batches_of(job):
        # 1. Whole sequences, padded on the right. Only the answer's tokens have labels.
        ids, mask, labels = _batch([job.encoded[i] for i in indices], pad)
        # 2. Forward: the mean loss of a learned token; each position predicts the next one.
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
        loss = functional.cross_entropy(
            logits.flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=_IGNORE
        )
        # 3. Backward, and one step of the optimizer with the learning rate of the schedule.
        loss.backward()
        clip_grad_norm_(trainable, _MAX_NORM)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        yield float(loss.detach())


def _batch(examples: list[Encoded], pad: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, attention mask and labels of some examples, as matrices of equal width."""
    shape = len(examples), max(map(len, examples))
    ids, mask = torch.full(shape, pad), torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, _IGNORE)
    for row, example in enumerate(examples):
        ids[row, : len(example)] = torch.tensor(example.ids)
        mask[row, : len(example)] = 1
        labels[row, example.learned] = ids[row, example.learned]
    return ids, mask, labels
