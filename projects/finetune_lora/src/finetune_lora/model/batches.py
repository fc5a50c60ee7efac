"""Which examples a step sees, and the tensors it is given.

Examples of similar length share a batch, which keeps padding low. The common prefix of a batch's
examples, usually a system prompt, is stored once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch

from finetune_lora.model.encode import Encoded

Batch = dict[str, torch.Tensor]
_WINDOW = 64  # batches that are sorted by length together
_STEP = 4  # tokens; row widths are multiples of it, as each new shape costs time and memory
_SHORT = 8  # a common beginning of fewer tokens is not worth a pass of its own


class Batches:
    """A batch sampler for a whole training: lists of indices, reshuffled in each of `epochs`.

    The order depends on the seed alone. For the trainer it is one long epoch, so a resumed run
    only has to skip the batches that it has seen.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, epochs: float, seed: int) -> None:
        # Not `batch_size`: accelerate would then drop the batches that share a turn with the last,
        # shorter one of an epoch when it deals them out to processes.
        self._size = batch_size
        self.drop_last = False
        self._lengths = lengths
        self._seed = seed
        self.per_epoch = -(-len(lengths) // batch_size)
        self._total = max(1, round(self.per_epoch * epochs))

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[list[int]]:
        left, epoch = self._total, 0
        while left > 0:
            batches = self.epoch(epoch)[:left]
            yield from batches
            left -= len(batches)
            epoch += 1

    def epoch(self, number: int) -> list[list[int]]:
        """The batches of one pass over the data."""
        rng = random.Random(self._seed * 1_000_003 + number)
        order = list(range(len(self._lengths)))
        rng.shuffle(order)
        window = self._size * _WINDOW
        batches = []
        for start in range(0, len(order), window):
            near = sorted(order[start : start + window], key=lambda i: self._lengths[i])
            batches += [near[i : i + self._size] for i in range(0, len(near), self._size)]
        rng.shuffle(batches)
        return batches


class Collator:
    """Examples → Batches of at most `most_tokens` (padding counts, the shared prefix does not).

    A Batch has `prefix` (p,), `input_ids` (b, t), and flat `rows`, `columns`, `labels` (n,): the
    answer's token `labels[i]` is predicted at `input_ids[rows[i], columns[i]]`. Rows are padded at
    the end, where causal attention hides the padding from every token.
    """

    def __init__(self, pad_id: int, *, most_tokens: int = 1024, share_prefix: bool = True) -> None:
        self._pad = pad_id
        self._most = most_tokens
        self._share = share_prefix

    def __call__(self, examples: Sequence[Encoded]) -> list[Batch]:
        start = common_prefix(examples) if self._share else 0
        parts: list[list[Encoded]] = [[]]
        for example in sorted(examples, key=len):
            if parts[-1] and (len(parts[-1]) + 1) * _width(len(example) - start) > self._most:
                parts.append([])
            parts[-1].append(example)
        return [self._batch(part, start) for part in parts]

    def _batch(self, examples: Sequence[Encoded], start: int) -> Batch:
        width = _width(max(map(len, examples)) - start)
        ids = torch.full((len(examples), width), self._pad)
        rows, columns, labels = [], [], []
        for row, example in enumerate(examples):
            tail = example.ids[start:]
            ids[row, : len(tail)] = torch.tensor(tail)
            for position in example.learned:
                rows.append(row)
                columns.append(position - start - 1)
                labels.append(example.ids[position])
        return {
            "prefix": torch.tensor(examples[0].ids[:start], dtype=torch.long),
            "input_ids": ids,
            "rows": torch.tensor(rows),
            "columns": torch.tensor(columns),
            "labels": torch.tensor(labels),
        }


def _width(length: int) -> int:
    return -(-length // _STEP) * _STEP


def common_prefix(examples: Sequence[Encoded]) -> int:
    """The length of the common prefix, which ends at least one token before the learned ones."""
    first = examples[0].ids
    most = min(e.learned[0] for e in examples) - 1
    shared = 0
    while shared < most and all(e.ids[shared] == first[shared] for e in examples):
        shared += 1
    return shared if shared >= _SHORT and len(examples) > 1 else 0
