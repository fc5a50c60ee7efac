"""The sentences of a model's reply, each as soon as it is complete, with the quotes it names.

    for claim in read_claims(chunk.text for chunk in model.stream(prompt)):
        claim.sentence, claim.quotes

The reply should have one JSON object per line. Objects in a fence, in an array or over several
lines are read too, and so is plain text, whose sentences come without quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rag_chatbot.read.language import sentence_spans

_BETWEEN = re.compile(r"(?:[\s,\[\]]|```\w*)+")  # separators of objects
_NEXT_OBJECT = re.compile(r"\n\s*(?=\{)")


@dataclass(frozen=True)
class Claim:
    """A sentence, and the passages (counted from 1) and quotes that are meant to support it.

    An object that is not valid JSON is a claim without a sentence.
    """

    sentence: str
    passages: tuple[int, ...] = ()
    quotes: tuple[str, ...] = ()


def read_claims(pieces: Iterable[str]) -> Iterator[Claim]:
    """Yield the claims of a reply that comes in pieces.

    >>> list(read_claims(['{"sentence": "It is 5.", "passage": 2, ', '"quote": "five"}']))
    [Claim(sentence='It is 5.', passages=(2,), quotes=('five',))]
    """
    rest = ""
    for piece in pieces:
        rest += piece
        complete, rest = _split(rest)
        yield from complete
    complete, _ = _split(rest, at_end=True)
    yield from complete


def _split(text: str, *, at_end: bool = False) -> tuple[list[Claim], str]:
    """The complete claims at the beginning of a text, and the rest."""
    claims: list[Claim] = []
    while True:
        between = _BETWEEN.match(text)
        if between and between.end() == len(text) and not at_end:
            return claims, text  # perhaps the beginning of a fence
        text = text[between.end() :] if between else text
        if not text:
            return claims, ""
        complete, length = _read_object(text) if text[0] == "{" else _read_text(text, at_end)
        if not length:
            if at_end:
                claims.append(Claim(""))
            return claims, text
        claims += complete
        text = text[length:]


def _read_object(text: str) -> tuple[list[Claim], int]:
    """The claims of the object at the beginning of a text, and its length; 0 if incomplete."""
    try:
        value, length = json.JSONDecoder(strict=False).raw_decode(text)
    except ValueError:
        broken = _NEXT_OBJECT.search(text)
        return ([Claim("")], broken.end()) if broken else ([], 0)
    return list(_claims(value)), length


def _claims(value: Any) -> Iterator[Claim]:
    """The claims of a JSON value: an object with a sentence, or such objects in a list."""
    if isinstance(value, list):
        for item in value:
            yield from _claims(item)
    elif isinstance(value, dict) and isinstance(sentence := value.get("sentence"), str):
        passages, quotes = _listed(value.get("passage")), _listed(value.get("quote"))
        yield Claim(
            sentence.strip(),
            tuple(number for number in passages if isinstance(number, int)),
            tuple(quote for quote in quotes if isinstance(quote, str)),
        )
    elif isinstance(value, dict):
        yield from _claims([item for item in value.values() if isinstance(item, list)])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _read_text(text: str, at_end: bool) -> tuple[list[Claim], int]:
    """The complete sentences at the beginning of plain text, and their length."""
    line, newline, _ = text.partition("\n")
    spans = list(sentence_spans(line))
    if not newline and not at_end:
        spans.pop()  # unfinished
    length = len(line) + len(newline) if newline or at_end else (spans[-1][1] if spans else 0)
    return [Claim(line[start:end]) for start, end in spans], length
