"""Puts chosen spans into the order and form in which they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rag_chatbot.answer.choose import Candidate
from rag_chatbot.read.chunk import plain

_FENCED = re.compile(
    r"^[ \t]*(?:```|~~~)[^\n]*\n(.*?)(?:^[ \t]*(?:```|~~~)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)


def in_order(chosen: Sequence[Candidate]) -> list[Candidate]:
    """The document of the best span first; within a document, as it is read there."""
    place: dict[int, int] = {}
    for c in chosen:
        place.setdefault(c.hit.chunk.document_id, len(place))
    return sorted(chosen, key=lambda c: (place[c.hit.chunk.document_id], c.start))


def shown(c: Candidate) -> str:
    """A quote for reading: markup off, code fenced."""
    if c.unit.kind == "code":
        return c.quote if _FENCED.search(c.quote) else f"```\n{c.quote}\n```"
    parts, at = [], 0
    for match in _FENCED.finditer(c.quote):
        parts.append(_flow(plain(c.quote[at : match.start()])))
        parts.append(f"```\n{match[1].rstrip()}\n```")
        at = match.end()
    parts.append(_flow(plain(c.quote[at:])))
    return "\n".join(part for part in parts if part)


def _flow(text: str) -> str:
    """Lines that were broken for width joined again; items, rows and paragraphs keep theirs."""
    text = re.sub(r"(?<=\S)[ \t]*\n[ \t]*(?!\s|[-*+•|]|\(?\w{1,3}[.)]\s)", " ", text)
    return re.sub(r"(?<=\S)[ \t]{2,}", " ", text)


def pieces(used: Sequence[Candidate]) -> Iterator[str]:
    """The text of an answer in quote mode, a piece for each span, numbered from 1."""
    for n, c in enumerate(used, 1):
        text = shown(c)
        flows = c.unit.kind == "sentence" and "\n```" not in text
        if flows:
            text = " ".join(text.split())
        mark = f"\n[{n}]" if text.endswith("```") else f" [{n}]"
        before = "" if n == 1 else (" " if flows and used[n - 2].unit.kind == "sentence" else "\n")
        yield f"{before}{text}{mark}"
