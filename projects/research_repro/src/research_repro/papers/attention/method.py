"""Attention Is All You Need, Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, from scratch.

Read it beside the paper: section 3 from the attention up to the model, then section 5.

    model = Transformer(vocabulary=62, shape=Shape(heads=4, d_k=16, d_v=16))
    losses = train(model, batch, cell, workspace)
    translate(model, source, max_tokens=30)

In shapes, b is the batch, n a number of queries, m of keys, s of source and t of target tokens. A
mask is True where a query may look.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from research_repro.paper import Cell
from research_repro.runs.workspace import Workspace

PAD, BOS, EOS = 0, 1, 2  # ids of padding, the beginning and the end of a sentence


@dataclass(frozen=True)
class Shape:
    """The size of a model in the symbols of Table 3; `layers` is its N."""

    layers: int = 2
    d_model: int = 64
    d_ff: int = 256
    heads: int = 4
    d_k: int = 16
    d_v: int = 16
    dropout: float = 0.0
    positions: str = "sinusoidal"
    """sinusoidal, learned, or none."""
    max_tokens: int = 64
    """Maximum sentence length."""


def scaled_dot_product_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Section 3.2.1: softmax(QKᵀ / √d_k) V, and the weights.

    q (…, n, d_k), k (…, m, d_k), v (…, m, d_v), mask (…, n, m) → (…, n, d_v), (…, n, m).
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(k.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights = scores.softmax(-1)  # eq. 1
    return weights @ v, weights


class MultiHeadAttention(nn.Module):
    """Section 3.2.2: Concat(head_1, …, head_h) W^O with head_i = Attention(QW_i^Q, KW_i^K, VW_i^V).

    The matrices of all heads are one, side by side; as in the paper they have no biases.
    `weights` (b, heads, n, m) are those of the last call, for pictures.
    """

    weights: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = nn.Linear(shape.d_model, shape.heads * shape.d_k, bias=False)  # W^Q
        self.key = nn.Linear(shape.d_model, shape.heads * shape.d_k, bias=False)  # W^K
        self.value = nn.Linear(shape.d_model, shape.heads * shape.d_v, bias=False)  # W^V
        self.output = nn.Linear(shape.heads * shape.d_v, shape.d_model, bias=False)  # W^O

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Queries (b, n, d_model) look at memory (b, m, d_model) → (b, n, d_model)."""
        q, k, v = (
            projected.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (b, heads, …, d_k or d_v)
            for projected in (self.query(queries), self.key(memory), self.value(memory))
        )
        heads, weights = scaled_dot_product_attention(q, k, v, mask)
        self.weights = weights.detach()
        output: Tensor = self.output(heads.transpose(1, 2).flatten(2))
        return output


class FeedForward(nn.Sequential):
    """Section 3.3: max(0, xW_1 + b_1) W_2 + b_2 at each position."""

    def __init__(self, shape: Shape) -> None:
        first = nn.Linear(shape.d_model, shape.d_ff)
        super().__init__(first, nn.ReLU(), nn.Linear(shape.d_ff, shape.d_model))  # eq. 2


class Sublayer(nn.Module):
    """Section 3.1: LayerNorm(x + Dropout(Sublayer(x))); the dropout is from section 5.4."""

    def __init__(self, shape: Shape, function: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.dropout, self.norm = nn.Dropout(shape.dropout), nn.LayerNorm(shape.d_model)

    def forward(self, x: Tensor, *others: Tensor | None) -> Tensor:
        """x (b, n, d_model) and further arguments of the function → (b, n, d_model)."""
        x = self.norm(x + self.dropout(self.function(x, *others)))
        return x


class EncoderLayer(nn.Module):
    """Section 3.1: self-attention, then the feed-forward network."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = Sublayer(shape, MultiHeadAttention(shape))
        self.feed_forward = Sublayer(shape, FeedForward(shape))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (b, s, d_model) → (b, s, d_model)."""
        x = self.feed_forward(self.attention(x, x, mask))
        return x


class DecoderLayer(nn.Module):
    """Section 3.1: masked self-attention, attention to the encoder's output, feed-forward."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = Sublayer(shape, MultiHeadAttention(shape))
        self.cross_attention = Sublayer(shape, MultiHeadAttention(shape))
        self.feed_forward = Sublayer(shape, FeedForward(shape))

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor, memory_mask: Tensor) -> Tensor:
        """x (b, t, d_model), memory (b, s, d_model) → (b, t, d_model)."""
        x = self.attention(x, x, mask)
        x = self.feed_forward(self.cross_attention(x, memory, memory_mask))
        return x


def causal_mask(n: int) -> Tensor:
    """Section 3.2.3: position i sees positions up to i. Returns (n, n)."""
    return torch.ones(n, n, dtype=torch.bool).tril()


def padding_mask(tokens: Tensor) -> Tensor:
    """Tokens (b, n) → (b, 1, 1, n), for all heads and queries: True where it is not padding."""
    return (tokens != PAD)[:, None, None]


def sinusoids(n: int, d_model: int) -> Tensor:
    """Section 3.5: PE(pos, 2i) = sin(pos / 10000^(2i/d_model)), PE(pos, 2i+1) the cosine.

    Returns (n, d_model) in float64; `d_model` is even.
    """
    rates = 10000.0 ** -(torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    angles = torch.arange(n, dtype=torch.float64)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


class Transformer(nn.Module):
    """Figure 1: encoder and decoder. One matrix embeds both and gives the output (section 3.4)."""

    positions: Tensor

    def __init__(self, vocabulary: int, shape: Shape) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(EncoderLayer(shape) for _ in range(shape.layers))
        self.decoder = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.layers))
        self.embedding = nn.Embedding(vocabulary, shape.d_model)
        self.dropout = nn.Dropout(shape.dropout)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)  # the paper does not mention its initialization
        nn.init.normal_(self.embedding.weight, std=shape.d_model**-0.5)
        table = sinusoids(shape.max_tokens, shape.d_model).float()
        if shape.positions == "learned":
            self.positions = nn.Parameter(torch.randn_like(table))  # as large as the embeddings
        else:
            self.register_buffer("positions", table * (shape.positions == "sinusoidal"))

    def embed(self, tokens: Tensor) -> Tensor:
        """Sections 3.4 and 3.5: tokens (b, n) → embeddings · √d_model + positions."""
        scaled = self.embedding(tokens) * math.sqrt(self.embedding.embedding_dim)
        x: Tensor = self.dropout(scaled + self.positions[: tokens.shape[1]])
        return x

    def encode(self, source: Tensor) -> Tensor:
        """Source tokens (b, s) → memory (b, s, d_model)."""
        x = self.embed(source)
        for layer in self.encoder:
            x = layer(x, padding_mask(source))
        return x

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:
        """Target tokens so far (b, t) → logits (b, t, vocabulary) of each next token."""
        x = self.embed(target)
        for layer in self.decoder:
            x = layer(x, memory, causal_mask(target.shape[1]), padding_mask(source))
        return x @ self.embedding.weight.T

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Tokens (b, s) and (b, t) → logits (b, t, vocabulary)."""
        return self.decode(target, self.encode(source), source)


def learning_rate(step: int, d_model: int, warmup: int) -> float:
    """Section 5.3: rises for `warmup` steps, then falls. Steps count from 1."""
    return float(d_model**-0.5 * min(step**-0.5, step * warmup**-1.5))  # eq. 3


def smoothed_loss(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Section 5.4: cross-entropy with targets that give `smoothing` of their mass to all tokens.

    logits (b, t, vocabulary), targets (b, t) → mean over the tokens that are not padding.
    """
    log_p = logits.log_softmax(-1)
    likelihood = log_p.gather(-1, targets[..., None])[..., 0]
    losses = -(1 - smoothing) * likelihood - smoothing * log_p.mean(-1)
    return losses[targets != PAD].mean()


def train(
    model: Transformer,
    batch: Callable[[int], tuple[Tensor, Tensor]],
    cell: Cell,
    workspace: Workspace,
) -> list[float]:
    """Section 5: train on `batch(step)`, tokens (b, s) and (b, t). Returns the losses."""
    settings, d_model = cell.settings, model.embedding.embedding_dim
    total = settings["steps"]
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98), eps=1e-9)  # section 5.3
    losses = nn.ParameterList([nn.Parameter(torch.zeros(total), requires_grad=False)])
    average, interval = AveragedModel(model), max(1, total // 50)
    state = {"model": model, "optimizer": optimizer, "losses": losses, "average": average}
    model.train()
    for step in workspace.steps(cell, total, **state):
        rate = learning_rate(step + 1, d_model, settings["warmup"])
        optimizer.param_groups[0]["lr"] = rate
        source, target = batch(step)
        logits = model(source, target[:, :-1])  # the target shifted right (Figure 1)
        loss = smoothed_loss(logits, target[:, 1:], settings["smoothing"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses[0][step] = loss.detach()
        if total - 1 - step in range(0, 5 * interval, interval):
            average.update_parameters(model)  # the last five checkpoints (section 6.1)
    model.load_state_dict(average.module.state_dict())
    return [float(loss) for loss in losses[0]]


@torch.no_grad()
def translate(model: Transformer, source: Tensor, max_tokens: int) -> Tensor:
    """Greedy decoding: source (b, s) → target tokens (b, up to `max_tokens`), without BOS."""
    memory = model.encode(source)
    target = torch.full((len(source), 1), BOS)
    while target.shape[1] <= max_tokens and not (target == EOS).any(1).all():
        token = model.decode(target, memory, source)[:, -1:].argmax(-1)
        target = torch.cat([target, token], 1)
    return target[:, 1:]
