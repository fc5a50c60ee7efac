"""The forward pass of training: what examples share once, logits only where the loss needs them.

Both are exact: the loss and its gradient are those of whole sequences, to rounding. It works on any
causal language model of transformers, with an adapter or without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from finetune_lora.batches import Batch

_PREFIXES = 16  # rows of a batch may happen to go on alike
_ROWS = 64  # of logits: a multiple of it, and so many of them float32 at a time


def token_losses(model: Any, batch: Batch, frozen: FrozenLayers | None = None) -> torch.Tensor:
    """The cross-entropy of each learned token, (n,) float32, in nats.

    `model` may be wrapped for training on several devices. The keys and values of the shared prefix
    are computed once and repeated for each row; gradients flow back through them. `frozen` layers
    need not read it again and again.
    """
    n = len(batch["labels"])
    names = ("rows", "columns", "labels")
    filled = {name: functional.pad(batch[name], (0, -n % _ROWS)) for name in names}
    losses: torch.Tensor = _CrossEntropy.apply(
        selected_logits(model, {**batch, **filled}, frozen), filled["labels"]
    )
    return losses[:n]


class _CrossEntropy(torch.autograd.Function):
    """Cross-entropy in float32 of logits of any type, some rows at a time.

    `functional.cross_entropy` on `logits.float()` gives the same and holds five more matrices of
    the vocabulary's width.
    """

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        labels = labels[:, None]
        totals, chosen = [], []
        for rows, wanted in zip(logits.split(_ROWS), labels.split(_ROWS), strict=True):
            wide = rows.float()
            totals.append(wide.logsumexp(-1, keepdim=True))
            chosen.append(wide.gather(1, wanted))
        total = torch.cat(totals)
        ctx.save_for_backward(logits, labels, total)
        return (total - torch.cat(chosen))[:, 0]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        found = torch.empty_like(ctx.saved_tensors[0])
        pieces = (t.split(_ROWS) for t in (found, *ctx.saved_tensors, grad[:, None]))
        for out, rows, wanted, total, scale in zip(*pieces, strict=True):
            wide = rows.float().sub_(total).exp_().mul_(scale)
            out.copy_(wide.scatter_add_(1, wanted, -scale))
        return found, None


def selected_logits(model: Any, batch: Batch, frozen: FrozenLayers | None = None) -> torch.Tensor:
    """(n, vocabulary): the logits at the batch's `rows` and `columns`."""
    ids, cache = batch["input_ids"], None
    if len(batch["prefix"]):
        with frozen.remembering(batch["prefix"]) if frozen else nullcontext():
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


class FrozenLayers:
    """The layers below the first one that is trained, which make the same of a prefix every time.

    What they made of the last `_PREFIXES` prefixes is kept. For a model on one device.
    """

    def __init__(self, model: Any) -> None:
        whole = unwrapped(model)
        self._layers: list[Any] = []
        self._known: dict[tuple[int, ...], list[tuple[torch.Tensor, torch.Tensor, Any]]] = {}
        if _changes(whole.get_input_embeddings()):
            return
        for layer in getattr(whole.get_decoder(), "layers", ()):
            if _changes(layer):
                break
            self._layers.append(layer)

    @contextmanager
    def remembering(self, prefix: torch.Tensor) -> Iterator[None]:
        """Within it the model reads `prefix`, and these layers do not read what they know."""
        ids = tuple(prefix.tolist())
        known = self._known.get(ids)
        made = []

        def read(plain: Any, number: int, hidden: torch.Tensor, *args: Any, **options: Any) -> Any:
            cache = options.get("cache")
            if known and cache is not None:
                keys, values, out = known[number]
                cache.update(keys, values, number)
                return out
            out = plain(hidden, *args, **options)
            kept = cache and cache.layers[number]
            if getattr(kept, "keys", None) is not None and kept.keys.shape[-2] == len(ids):
                made.append((kept.keys, kept.values, out))
            return out

        for number, layer in enumerate(self._layers):
            layer.forward = partial(read, layer.forward, number)
        try:
            yield
        finally:
            for layer in self._layers:
                del layer.forward
        if made and len(made) == len(self._layers):
            while len(self._known) >= _PREFIXES:
                del self._known[next(iter(self._known))]
            self._known[ids] = made


def _changes(module: Any) -> bool:
    """Is it trained, or does it leave out something at random?"""
    return any(weight.requires_grad for weight in module.parameters()) or any(
        getattr(m, "attention_dropout", 0) or (isinstance(m, torch.nn.Dropout) and m.p > 0)
        for m in module.modules()
    )


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
