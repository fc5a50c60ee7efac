"""A GPT small enough to pre-train in minutes on one core, and its vocabulary of words.

    model = TinyGPT(len(vocabulary.words), width=128, layers=4, heads=4)
    texts = complete(model, vocabulary, ["name[The Old Oak], eatType[pub]"])

For `add_lora`, layers are blocks.0.attention.{query,key,value,output}, blocks.0.mlp.{up,down}.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SPECIAL = ("<pad>", "<start>", "<end>", "<unknown>")  # <start> is between record and text
PAD, START, END, UNKNOWN = range(4)
_WORD = re.compile(r"[\w£'-]+|[^\w\s]")
_Cache = dict[int, tuple[Tensor, Tensor]]


class Attention(nn.Module):
    """Causal self-attention with separate projections."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor | None, cache: _Cache | None, layer: int) -> Tensor:
        """x and the result are (B, T, width); the mask is (B, 1, T, cached positions + T)."""
        projections = self.query(x), self.key(x), self.value(x)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in projections)
        if cache is not None:
            if layer in cache:
                k, v = (torch.cat(pair, 2) for pair in zip(cache[layer], (k, v), strict=True))
            cache[layer] = k, v
        h = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
        result: Tensor = self.output(h.transpose(1, 2).flatten(2))
        return result


class Block(nn.Module):
    """A layer with normalisation before attention and MLP, as in GPT-2."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        up, down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.mlp = nn.Sequential(OrderedDict(up=up, gelu=nn.GELU(), down=down))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None, cache: _Cache | None, layer: int) -> Tensor:
        """(B, T, width) -> (B, T, width)"""
        x = x + self.attention(self.norm1(x), mask, cache, layer)
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class TinyGPT(nn.Module):
    """0.8 M parameters with width 128 and 4 layers; input and output embeddings are tied."""

    def __init__(self, words: int, width: int, layers: int, heads: int, length: int = 192) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for name, p in self.named_parameters():
            if p.dim() > 1:  # with 0.02 in the blocks, training takes twice as long
                nn.init.normal_(p, std=p.shape[1] ** -0.5 if "blocks" in name else 0.02)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, cache: _Cache | None = None
    ) -> Tensor:
        """Logits (B, T, V) of ids (B, T). The mask, for padding on the left, needs a cache."""
        T, mask = input_ids.shape[1], None
        positions = torch.arange(T)
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
        return cls([*SPECIAL, *sorted({word for text in texts for word in _WORD.findall(text)})])

    def encode(self, text: str) -> list[int]:
        """The ids of a text's words."""
        return [self._ids.get(word, UNKNOWN) for word in _WORD.findall(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, without special tokens."""
        words = (self.words[i] for i in ids if i >= len(SPECIAL))
        return re.sub(r" ([.,])", r"\1", " ".join(words))


@torch.inference_mode()
def complete(
    model: TinyGPT, vocabulary: Vocabulary, prompts: Sequence[str], limit: int = 70
) -> list[str]:
    """The most probable text after each prompt, word by word (greedy), in one batch."""
    rows = [torch.tensor([*vocabulary.encode(prompt), START]) for prompt in prompts]
    ids = nn.utils.rnn.pad_sequence(rows, True, PAD, padding_side="left")
    mask, cache, texts = ids != PAD, _Cache(), torch.empty(len(rows), 0, dtype=torch.long)
    while texts.shape[1] < limit and not (texts == END).any(1).all():
        ids = model(ids, mask, cache)[:, -1].argmax(-1, keepdim=True)
        texts, mask = torch.cat([texts, ids], 1), F.pad(mask, (0, 1), value=True)
    return [vocabulary.decode(row[: [*row, END].index(END)]) for row in texts.tolist()]
