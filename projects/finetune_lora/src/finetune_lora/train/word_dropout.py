"""Labelled texts with some of their words left out: a pass over few rows that is no repetition.

A small model knows a thousand rows by heart after two passes, and learns nothing in the next.
Random deletion of Wei and Zou (2019), https://arxiv.org/abs/1901.11196.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from finetune_lora.example import Example

_WORD = re.compile(r"\s*\S+")  # with the space before it, so that line breaks stay


def leave_out(text: str, share: float, rng: random.Random) -> str:
    """`text` without each of its words with the probability `share`; never without all of them."""
    kept = [word for word in _WORD.findall(text) if rng.random() >= share]
    return "".join(kept).strip() or text


def without_words(examples: Iterable[Example], share: float, seed: int) -> Iterator[Example]:
    """The examples again, with words left out of what the user said last."""
    rng = random.Random(seed)
    for example in examples:
        *before, asked, answer = example.messages
        fewer = {**asked, "content": leave_out(asked["content"], share, rng)}
        yield replace(example, messages=(*before, fewer, answer))
