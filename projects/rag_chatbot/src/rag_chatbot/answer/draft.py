"""The text of an answer with the spans that it cites, before it becomes an `Answer`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from rag_chatbot.answer.select import Candidate

Usage = Counter[str]  # tokens that a chat model read and wrote
USAGE = ("input_tokens", "output_tokens")


@dataclass(frozen=True)
class Draft:
    """`cited[n - 1]` is the span of the mark `[n]` in `text`; an empty text means no answer."""

    text: str
    cited: tuple[Candidate, ...] = ()
    notices: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Counter)
