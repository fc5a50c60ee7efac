"""The sentences of a model's reply, each as soon as it is complete, with the quotes it names.

    for claim in read_claims(chunk.text for chunk in model.stream(prompt)):
        claim.sentence, claim.quotes

The reply should have one JSON object per line. Objects in a fence, in an array or over several
lines are read too, and text around them is left out. A reply without objects is read as plain text
at its end; its sentences come without quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from rag_chatbot.read.language import sentence_spans
from seedbed.structured.reply_text import without_thinking

OBJECT_LINES = 40  # maximum number of lines of one object
_OBJECT = re.compile(r"[\s,\[\]]*\{")
_DECODER = json.JSONDecoder(strict=False)
_LIST_MARK = re.compile(r"^\s*(?:[-*+•]|#{1,6}|\d{1,3}[.)])\s+")
_CITATION_MARKS = re.compile(r"(?:\s+|^|(?<=[.!?。]))(?:\[\d+(?:\s*,\s*\d+)*\])+(?=\s|$|[.!?。])")


@dataclass(frozen=True)
class Claim:
    """A sentence, and the passages (counted from 1) and quotes that are meant to support it.

    An object that cannot be read is a claim without a sentence.
    """

    sentence: str
    passages: tuple[int, ...] = ()
    quotes: tuple[str, ...] = ()


def read_claims(pieces: Iterable[str]) -> Iterator[Claim | None]:
    """Yield the claims of a reply that comes in pieces, in time proportional to its length.

    None is yielded for a piece that completes no line, so that a caller can stop reading.

    >>> list(read_claims(['{"sentence": "It is 5.", "passage": 2, "quote": "five"}\\n']))
    [Claim(sentence='It is 5.', passages=(2,), quotes=('five',))]
    >>> list(read_claims(["<think>Five?</think>1. It is 5. [1]\\n"]))
    [Claim(sentence='It is 5.', passages=(), quotes=())]
    """
    text: list[str] = []  # lines that are not part of an object
    waiting: list[str] = []  # lines of an object that is not complete
    has_objects = False
    for line in _lines(pieces):
        if line is None:
            yield None
            continue
        opens = bool(_OBJECT.match(line))
        if waiting and (opens or line.lstrip().startswith("```") or len(waiting) == OBJECT_LINES):
            waiting.clear()
            yield Claim("")  # the previous object is broken
        if not (waiting or opens):
            text.append(line)
            continue
        has_objects = True
        waiting.append(line)
        if (claims := _read_objects("\n".join(waiting))) is not None:
            waiting.clear()
            yield from claims
    if waiting:
        yield Claim("")
    for line in () if has_objects else text:
        yield from _read_text(line)


def _lines(pieces: Iterable[str]) -> Iterator[str | None]:
    """The lines of a reply as they are completed, without thinking in tags at its beginning.

    None for a piece that completes none.
    """
    parts: list[str] = []  # of the line that is not complete
    head = ""  # text that may be unfinished thinking
    past_thinking = False
    for piece in chain(pieces, ["\n"]):
        parts.append(piece)
        if "\n" not in piece:
            yield None
            continue
        *lines, rest = "".join(parts).split("\n")
        parts = [rest]
        for line in lines:
            if not past_thinking:
                head += f"{line}\n"
                line = without_thinking(head).rstrip("\n")
                past_thinking = bool(line)
            if past_thinking:
                yield line


def _read_objects(text: str) -> list[Claim] | None:
    """The claims of the objects in a text; None unless the last one is complete."""
    claims: list[Claim] = []
    at = 0
    while match := _OBJECT.match(text, at):
        try:
            value, at = _DECODER.raw_decode(text, match.end() - 1)
        except (ValueError, RecursionError):
            return None
        claims.append(_claim(value))
    return claims


def _claim(value: dict[str, Any]) -> Claim:
    sentence = value.get("sentence")
    if not isinstance(sentence, str):
        return Claim("")
    passages, quotes = (
        item if isinstance(item, list) else [item]
        for item in (value.get("passage"), value.get("quote"))
    )
    return Claim(
        _CITATION_MARKS.sub("", sentence).strip(),
        tuple(number for number in passages if isinstance(number, int)),
        tuple(quote for quote in quotes if isinstance(quote, str)),
    )


def _read_text(line: str) -> Iterator[Claim]:
    """The sentences of a line of plain text, without marks of lists and citations."""
    line = _CITATION_MARKS.sub("", _LIST_MARK.sub("", line, count=1)).strip()
    if not line.startswith("```"):
        yield from (Claim(line[start:end]) for start, end in sentence_spans(line))
