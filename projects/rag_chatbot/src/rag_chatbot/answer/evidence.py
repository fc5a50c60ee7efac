"""Spans of documents as evidence, and the draft of an answer that cites them: for both modes.

[span] = locate("logs are kept  14 DAYS", chunk)    # the sentence of the chunk that has it
span.quote                                          # "Logs are kept 14 days."
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag_chatbot.read.blocks import is_row, is_row_rule
from rag_chatbot.read.language import sentence_spans

if TYPE_CHECKING:
    from rag_chatbot.store.records import Chunk

_LINES = frozenset(
    {"csv", "spreadsheet", "code", "json", "jsonl"}
)  # formats in which a line is a statement


@dataclass(frozen=True)
class Span:
    """A span of a retrieved document: `quote` is `text[start:end]` of it."""

    chunk: Chunk
    start: int
    end: int
    quote: str


@dataclass(frozen=True)
class Draft:
    """An answer, or an empty text: `cited[n - 1]` is the span of the mark `[n]` in it.

    `unchecked` is whether a model wrote something, of which nothing could be read or checked.
    """

    text: str
    cited: tuple[Span, ...] = ()
    notices: tuple[str, ...] = ()
    unchecked: bool = False


def sentences(chunk: Chunk) -> list[Span]:
    """The sentences of a chunk; in tables, code and data its lines."""
    spans = []
    for start, end in sentence_spans(chunk.text):
        lines = [m.span() for m in re.finditer(r"\S[^\n]*", chunk.text[start:end])]
        texts = [chunk.text[start + first : start + last] for first, last in lines]
        if chunk.type in _LINES or any(map(is_row, texts)):
            spans += [
                (start + first, start + first + len(text.rstrip()))
                for (first, _), text in zip(lines, texts, strict=True)
                if not is_row_rule(text)
            ]
        else:
            spans.append((start, end))
    return [
        Span(chunk, chunk.start + start, chunk.start + end, chunk.text[start:end])
        for start, end in spans
    ]


def locate(quote: str, chunk: Chunk) -> list[Span]:
    """The sentences of a chunk that a quote is made of, in order; none unless it is in the chunk.

    White space, case, punctuation and Markdown's marks may differ, words may not.
    """
    words = re.findall(r"[^\W_]+", quote)
    if len("".join(words)) < 3:
        return []
    pattern = r"\b" + r"[\W_]{0,20}".join(map(re.escape, words)) + r"(?![^\W_])"
    match = re.search(pattern, chunk.text, re.IGNORECASE)
    if match is None:
        return []
    start, end = chunk.start + match.start(), chunk.start + match.end()
    return [span for span in sentences(chunk) if span.start < end and start < span.end]
