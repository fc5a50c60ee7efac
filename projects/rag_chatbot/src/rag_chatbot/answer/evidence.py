"""Spans of documents as evidence, and the draft of an answer that cites them: for both modes.

An answer becomes a `Draft` first. `Answerer` makes the `Answer` of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag_chatbot.store.records import Chunk

Usage = Counter[str]  # tokens that a chat model read and wrote
USAGE = ("input_tokens", "output_tokens")


@dataclass(frozen=True)
class Span:
    """A span of a retrieved document: `quote` is `text[start:end]` of it."""

    chunk: Chunk
    start: int
    end: int
    quote: str


@dataclass(frozen=True)
class Draft:
    """`cited[n - 1]` is the span of the mark `[n]` in `text`; an empty text means no answer.

    `confidence` is the probability, 0 to 1, that the draft answers the question.
    """

    text: str
    cited: tuple[Span, ...] = ()
    notices: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Counter)
    confidence: float = 1.0
