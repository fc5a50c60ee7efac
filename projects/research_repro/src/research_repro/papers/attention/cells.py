"""The cells: `exact` compares with torch's modules; every other trains one row of Table 3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from research_repro.paper import Cell, Result, Scale
from research_repro.papers.attention import data, method
from research_repro.papers.attention.method import Shape, Transformer
from research_repro.runs.workspace import Workspace

_COMMON = {"batch": 48, "warmup": 150, "smoothing": 0.1}
SETTINGS: dict[Scale, dict[str, Any]] = {
    "smoke": {**_COMMON, "steps": 300, "numbers": 2, "tests": 100},
    "laptop": {**_COMMON, "steps": 1_000, "numbers": 3, "tests": 300},
}
ROWS: dict[str, dict[str, Any]] = {  # what differs from the base; the first six at smoke scale
    "base": {},
    "no-positions": {"shape": {"positions": "none"}},
    "heads-1": {"shape": {"heads": 1, "d_k": 64, "d_v": 64}},  # (A)
    "small-d_k": {"shape": {"d_k": 4}},  # (B): a quarter, as in the paper
    "learned": {"shape": {"positions": "learned"}},  # (E)
    "no-smoothing": {"smoothing": 0.0},  # (D)
    "heads-16": {"shape": {"heads": 16, "d_k": 4, "d_v": 4}},  # (A): four times as many as the base
    "few": {"batches": 10},  # (D): few sentences, which can be learned by heart
    "few-dropout": {"batches": 10, "shape": {"dropout": 0.1}},
}


def cells(scale: Scale, seeds: Sequence[int]) -> list[Cell]:
    """The checks and the rows of Table 3; the smoke scale has the first six of them."""
    rows = {"exact": {}, **ROWS}
    names = list(rows)[: 7 if scale == "smoke" else None]
    return [Cell(name, seed, {**SETTINGS[scale], **rows[name]}) for seed in seeds for name in names]


def run_cell(cell: Cell, workspace: Workspace) -> Result:
    """The result of a cell."""
    torch.manual_seed(cell.seed)
    if cell.name == "exact":
        return check()
    row, max_numbers = cell.settings, cell.settings["numbers"]

    def batch(step: int) -> tuple[Tensor, Tensor]:
        step %= row.get("batches", step + 1)
        return data.sentences(row["batch"], (1, max_numbers), seed=cell.seed, step=step)

    model = Transformer(len(data.VOCABULARY), Shape(**row.get("shape", {})))
    losses = method.train(model, batch, cell, workspace)
    result = {**evaluate(model.eval(), row["tests"], max_numbers), "losses": losses[::5]}
    return {**result, **attention_maps(model)} if cell.name == "base" else result


@torch.no_grad()
def evaluate(model: Transformer, count: int, max_numbers: int) -> dict[str, Any]:
    """Nats and accuracy per token, and share of exact translations, for numbers never trained on.

    Lists: for sentences of 1 to `max_numbers` numbers, as in training, then for longer ones.
    """
    nats, accuracy, exact = [], [], []
    for numbers in range(1, max_numbers + 2):
        source, target = data.sentences(count, (numbers, numbers), seed=0, held_out=True)
        logits, expected = model(source, target[:, :-1]), target[:, 1:]
        nats.append(float(method.smoothed_loss(logits, expected, 0)))
        correct = (logits.argmax(-1) == expected)[expected != method.PAD]
        accuracy.append(float(correct.float().mean()))
        pairs = zip(method.translate(model, source, expected.shape[1]), expected, strict=True)
        exact.append(sum(data.words(a) == data.words(b) for a, b in pairs) / count)
    return {"nats": nats, "accuracy": accuracy, "exact": exact}


@torch.no_grad()
def attention_maps(model: Transformer) -> dict[str, Any]:
    """A sentence and the attention (heads, t, s) of its English to its German, last layer."""
    source, target = data.encode([data.HELD_OUT[40:42]])
    model(source, target[:, :-1])
    decoder: Any = model.decoder[-1]
    weights = decoder.cross_attention.function.weights[0]
    return {
        "german": data.words(source[0]),
        "english": data.words(target[0, 1:]),
        "maps": weights.tolist(),
    }


@torch.no_grad()
def check() -> dict[str, float]:
    """Differences in float64 that should be 0, and the variance of dot products over d_k.

    `torch` is the largest of those from torch's own modules and functions, and from the paper's
    formulas in plain Python: of logits, embeddings, the loss, translations and the learning rate.
    """
    model = Transformer(50, Shape()).double()
    for weight in model.parameters():
        weight.add_(torch.randn_like(weight), alpha=0.1)  # biases and norms then matter
    source, target = torch.randint(3, 50, (2, 4, 12))
    source[0, 8:] = method.PAD
    logits, later = model(source, target), target.clone()
    later[:, 6:] = torch.randint(3, 50, (4, 6))
    table = method.sinusoids(100, 64)
    waves = torch.view_as_complex(table.unflatten(-1, (-1, 2)).flip(-1).contiguous())  # cos + i sin
    rows = [[_position(pos, i) for i in range(64)] for pos in range(100)]
    formula = torch.tensor(rows, dtype=torch.float64)
    # Seven positions on is a rotation, whatever the position: a linear function.
    rotated = (waves[7:] - waves[:-7] * waves[7]).abs().max()
    products = [torch.randn(2, 20_000, d).prod(0).sum(1).var() / d for d in (4, 16, 64)]
    embedded = model.embedding.weight[source] * 64**0.5 + formula[:12]
    targets = source.roll(1, 0)  # one of them is padded
    loss = nn.functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=method.PAD, label_smoothing=0.1
    )
    # Equation 3: for 512 dimensions it rises in 4,000 steps to 1 / sqrt(512 · 4000), then falls.
    rates = [method.learning_rate(step, 512, 4000) * 2_048_000**0.5 for step in (40, 4000, 16_000)]
    greedy = torch.full((4, 1), method.BOS)
    for _ in range(3):
        greedy = torch.cat([greedy, model(source, greedy)[:, -1:].argmax(-1)], 1)
    differences = [
        (logits - torch_logits(model, source, target)).abs().max(),
        (model.embed(source) - embedded).abs().max().sub(1e-6).clamp(min=0),  # kept in float32
        (method.smoothed_loss(logits, targets, 0.1) - loss).abs(),
        not torch.equal(method.translate(model, source, 3), greedy[:, 1:]),
        *(abs(rate - expected) for rate, expected in zip(rates, (0.01, 1, 0.5), strict=True)),
    ]
    return {
        "torch": float(torch.tensor([*map(float, differences)]).max()),  # NaN is the largest
        "future": float((logits - model(source, later))[:, :6].abs().max()),
        "offset": max(float(rotated), float((table - formula).abs().max())),
        "variance": float(sum(products) / len(products)),
    }


def _position(pos: int, i: int) -> float:
    """Section 3.5, for one number: sine in even dimensions, cosine in odd ones."""
    angle = pos / 10000 ** (2 * (i // 2) / 64)
    return math.cos(angle) if i % 2 else math.sin(angle)


def torch_logits(model: Transformer, source: Tensor, target: Tensor) -> Tensor:
    """The output of `torch.nn.Transformer` with the weights and the embeddings of `model`."""
    theirs = nn.Transformer(64, 4, 2, 2, 256, dropout=0.0, batch_first=True).double()
    theirs.encoder.norm = theirs.decoder.norm = None  # the paper has none after the last layer
    layers = [*theirs.encoder.layers, *theirs.decoder.layers]
    for ours, layer in zip([*model.encoder, *model.decoder], layers, strict=True):
        copy_layer(ours, layer)
    hidden, future = source == method.PAD, ~method.causal_mask(target.shape[1])
    masks = {"src_key_padding_mask": hidden, "memory_key_padding_mask": hidden, "tgt_mask": future}
    output: Tensor = theirs(model.embed(source), model.embed(target), **masks)
    return output @ model.embedding.weight.T


def copy_layer(ours: Any, theirs: Any) -> None:
    """Copy an encoder or decoder layer to torch's own."""
    *attentions, feed_forward = sublayers = list(ours.children())
    for sublayer, name in zip(sublayers, ("norm1", "norm2", "norm3"), strict=False):
        getattr(theirs, name).load_state_dict(sublayer.norm.state_dict())
    for sublayer, name in zip(attentions, ("self_attn", "multihead_attn"), strict=False):
        copy_attention(sublayer.function, getattr(theirs, name))
    theirs.linear1.load_state_dict(feed_forward.function[0].state_dict())
    theirs.linear2.load_state_dict(feed_forward.function[2].state_dict())


@torch.no_grad()
def copy_attention(ours: method.MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    """Copy the weights of an attention to torch's own, whose biases become 0."""
    weights = torch.cat([ours.query.weight, ours.key.weight, ours.value.weight])
    biases = {
        "in_proj_bias": torch.zeros(len(weights)),
        "out_proj.bias": torch.zeros(len(weights) // 3),
    }
    theirs.load_state_dict(
        {"in_proj_weight": weights, "out_proj.weight": ours.output.weight, **biases}
    )
