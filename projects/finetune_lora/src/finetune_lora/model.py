"""The forward pass of training: what examples share once, logits only where the loss needs them.

Both are exact: the loss and its gradient are those of whole sequences, to rounding. It works on any
causal language model of transformers, with an adapter or without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional

from finetune_lora.batches import Batch


def token_losses(model: Any, batch: Batch) -> torch.Tensor:
    """The cross-entropy of each learned token, (n,) float32, in nats.

    `model` may be wrapped for training on several devices. The keys and values of the shared prefix
    are computed once and repeated for each row; gradients flow back through them.
    """
    logits = selected_logits(model, batch)
    return functional.cross_entropy(logits.float(), batch["labels"], reduction="none")


def selected_logits(model: Any, batch: Batch) -> torch.Tensor:
    """(n, vocabulary): the logits at the batch's `rows` and `columns`."""
    ids, cache = batch["input_ids"], None
    if len(batch["prefix"]):
        cache = prefix_cache(model, batch["prefix"], len(ids))
    with only_positions(model, batch["rows"], batch["columns"]):
        out = model(input_ids=ids, cache=cache, use_cache=cache is not None)
    return out.logits[0]


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
    """Within it the output layer sees (1, n, hidden): the hidden states at rows and columns.

    A vocabulary is large: for SmolLM2-135M the output layer is a fifth of all work per position,
    and a prompt needs none of it. `logits_to_keep` cannot say it: it keeps the same columns of
    every row.
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
