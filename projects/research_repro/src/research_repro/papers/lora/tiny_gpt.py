"""A GPT small enough to pre-train in minutes on one core, and its vocabulary of words.

    vocabulary = Vocabulary.of(["The Old Oak is a pub."])
    model = TinyGPT(len(vocabulary.words), width=128, layers=4, heads=4)
    logits = model(input_ids)                                # (B, T) -> (B, T, V)
    texts = complete(model, vocabulary, ["name[The Old Oak], eatType[pub]"])

For `add_lora`, layers are blocks.0.attention.{query,key,value,output}, blocks.0.mlp.{up,down}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")
PAD, START, END, UNKNOWN = range(4)  # START separates a record from its text
_Cache = dict[int, tuple[Tensor, Tensor]]


class Attention(nn.Module):
    """Causal self-attention with separate projections."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor | None, cache: _Cache | None, layer: int) -> Tensor:
        """x and the result are (B, T, width); the mask is (B, 1, T, cached positions + T)."""
        q, k, v = (
            linear(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        if cache is not None:
            if layer in cache:
                k, v = (torch.cat(pair, 2) for pair in zip(cache[layer], (k, v), strict=True))
            cache[layer] = (k, v)
        h = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
        return self.output(h.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A transformer layer with normalisation before each part, as in GPT-2."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential()
        self.mlp.up, self.mlp.gelu = nn.Linear(width, 4 * width), nn.GELU()
        self.mlp.down = nn.Linear(4 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None, cache: _Cache | None, layer: int) -> Tensor:
        """(B, T, width) -> (B, T, width)"""
        x = x + self.attention(self.norm1(x), mask, cache, layer)
        return x + self.mlp(self.norm2(x))


class TinyGPT(nn.Module):
    """0.8 M parameters with width 128 and 4 layers; input and output embeddings are tied."""

    def __init__(self, words: int, width: int, layers: int, heads: int, length: int = 192) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:  # with 0.02 in the blocks, training takes twice as long
                std = parameter.shape[1] ** -0.5 if "blocks" in name else 0.02
                nn.init.normal_(parameter, std=std)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, cache: _Cache | None = None
    ) -> Tensor:
        """Logits (B, T, V) of ids (B, T). With a cache the mask covers its positions too.

        Without a cache the mask is not used: no token attends to padding on its right.
        """
        T = input_ids.shape[1]
        positions, mask = torch.arange(T), None
        if cache is not None and attention_mask is not None:
            visible = attention_mask.bool()
            positions = (visible.cumsum(1) - 1).clamp(min=0)[:, -T:]
            causal = torch.ones(T, visible.shape[1], dtype=torch.bool)
            mask = causal.tril(visible.shape[1] - T) & visible[:, None, None, :]
        x = self.embed(input_ids) + self.position(positions)
        for layer, block in enumerate(self.blocks):
            x = block(x, mask, cache, layer)
        return F.linear(self.norm(x), self.embed.weight)


class Vocabulary:
    """Words and punctuation marks as token ids.

    >>> vocabulary = Vocabulary.of(["A family-friendly pub."])
    >>> vocabulary.decode(vocabulary.encode("A pub."))
    'A pub.'
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._ids = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def of(cls, texts: Iterable[str]) -> Vocabulary:
        """The vocabulary of all words in the texts."""
        return cls([*SPECIAL, *sorted({word for text in texts for word in _split(text)})])

    def encode(self, text: str) -> list[int]:
        """The ids of a text's words."""
        return [self._ids.get(word, UNKNOWN) for word in _split(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, without special tokens."""
        text = " ".join(self.words[i] for i in ids if i >= len(SPECIAL))
        return re.sub(r" ([.,])", r"\1", text)


def _split(text: str) -> list[str]:
    return re.findall(r"[\w£'-]+|[^\w\s]", text)


@torch.inference_mode()
def complete(
    model: TinyGPT, vocabulary: Vocabulary, prompts: Sequence[str], limit: int = 70
) -> list[str]:
    """The most probable text after each prompt, word by word (greedy), in one batch."""
    rows = [[*vocabulary.encode(prompt), START] for prompt in prompts]
    width = max(map(len, rows))
    ids = torch.tensor([[PAD] * (width - len(row)) + row for row in rows])
    mask, cache, words = ids != PAD, {}, []
    for _ in range(limit):
        ids = model(ids, mask, cache)[:, -1].argmax(-1, keepdim=True)
        words.append(ids)
        mask = torch.cat([mask, torch.ones_like(ids, dtype=torch.bool)], 1)
        if all(END in row for row in torch.cat(words, 1).tolist()):
            break
    texts = [[*row, END] for row in torch.cat(words, 1).tolist()]
    return [vocabulary.decode(text[: text.index(END)]) for text in texts]
