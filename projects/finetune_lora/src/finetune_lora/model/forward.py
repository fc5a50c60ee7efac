"""The forward pass of training: a shared prefix once, logits only where the loss needs them.

Both are exact: the loss and its gradient are those of whole sequences, up to rounding. They work
with any causal language model of transformers, with an adapter or without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from finetune_lora.model.batches import Batch

_ROWS = 64  # logits are padded to a multiple of this many rows, and become float32 in such pieces


def token_losses(model: Any, batch: Batch) -> torch.Tensor:
    """The cross-entropy of each learned token, (n,) float32, in nats.

    `model` may be wrapped for training on several devices. The keys and values of the shared prefix
    are computed once and repeated for each row; gradients flow back through them.
    """
    n = len(batch["labels"])
    names = ("rows", "columns", "labels")
    filled = {name: functional.pad(batch[name], (0, -n % _ROWS)) for name in names}
    losses: torch.Tensor = _CrossEntropy.apply(
        selected_logits(model, {**batch, **filled}), filled["labels"]
    )
    return losses[:n]


class _CrossEntropy(torch.autograd.Function):
    """Cross-entropy in float32 of logits of any type, some rows at a time.

    `functional.cross_entropy` on `logits.float()` gives the same, and allocates five more matrices
    of the vocabulary's width.
    """

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        labels = labels[:, None]
        totals, targets = [], []
        for rows, columns in zip(logits.split(_ROWS), labels.split(_ROWS), strict=True):
            wide = rows.float()
            totals.append(wide.logsumexp(-1, keepdim=True))
            targets.append(wide.gather(1, columns))
        total = torch.cat(totals)
        ctx.save_for_backward(logits, labels, total)
        return (total - torch.cat(targets))[:, 0]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        gradient = torch.empty_like(ctx.saved_tensors[0])
        pieces = (t.split(_ROWS) for t in (gradient, *ctx.saved_tensors, grad[:, None]))
        for out, rows, columns, total, scale in zip(*pieces, strict=True):
            wide = rows.float().sub_(total).exp_().mul_(scale)
            out.copy_(wide.scatter_add_(1, columns, -scale))
        return gradient, None


def selected_logits(model: Any, batch: Batch) -> torch.Tensor:
    """(n, vocabulary): the logits at the batch's `rows` and `columns`."""
    ids, cache = batch["input_ids"], None
    if len(batch["prefix"]):
        cache = prefix_cache(model, batch["prefix"], len(ids))
    with only_positions(model, batch["rows"], batch["columns"]):
        out = model(input_ids=ids, cache=cache, use_cache=cache is not None)
    logits: torch.Tensor = out.logits[0]
    return logits


def prefix_cache(model: Any, prefix: torch.Tensor, rows: int) -> Any:
    """Keys and values of `prefix` (p,), once for each of `rows` rows."""
    nothing = torch.zeros(1, dtype=torch.long, device=prefix.device)
    with only_positions(model, nothing, nothing):
        cache = model(input_ids=prefix[None], use_cache=True).cache
    if rows > 1:
        cache.batch_repeat_interleave(rows)
    return cache


@contextmanager
def only_positions(model: Any, rows: torch.Tensor, columns: torch.Tensor) -> Iterator[None]:
    """In the block, the output layer gets (1, n, hidden): the hidden states at rows and columns.

    A vocabulary is large: for SmolLM2-135M the output layer is a fifth of all work per position,
    and a prompt needs none of it. `logits_to_keep` does not suffice: it keeps the same columns
    of every row.
    """
    head = unwrapped(model).get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, args: (args[0][rows, columns][None], *args[1:]))
    try:
        yield
    finally:
        hook.remove()


def unwrapped(model: Any) -> Any:
    """The causal language model inside a PeftModel and a wrapper for several devices."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model
