"""Labelled texts with some of their words left out, so that a later pass differs from the first.

A small model has memorized a thousand rows after two passes, and learns nothing in the next.
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
    words = [word for word in _WORD.findall(text) if rng.random() >= share]
    return "".join(words).strip() or text


def without_words(examples: Iterable[Example], share: float, seed: int) -> Iterator[Example]:
    """The examples again, with words left out of what the user said last."""
    rng = random.Random(seed)
    for example in examples:
        *before, request, answer = example.messages
        fewer = {**request, "content": leave_out(request["content"], share, rng)}
        yield replace(example, messages=(*before, fewer, answer))
