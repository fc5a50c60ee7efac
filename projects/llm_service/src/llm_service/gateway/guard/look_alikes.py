"""Texts as a person reads them: no invisible characters, and plain letters for look-alikes.

Patterns are written in plain letters. Without this, an invisible character would hide an
instruction, an address or a blocked term from them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache

# The letters of Cyrillic and Greek that most fonts draw as Latin ones (Unicode's confusables.txt).
_ODD = "АВЕЅІЈКМНОРСТХҮаеѕіјорсухԁһԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧαινορυ"
_PLAIN = "ABESIJKMHOPCTXYaesijopcyxdhqwABEZHIKMNOPTYXaivopu"
_LOOK_ALIKES = dict(zip(_ODD, _PLAIN, strict=True))
_SELECTORS = {"\u034f", *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0000, 0xE0200))}


@lru_cache(maxsize=65_536)
def _readable(char: str) -> str:
    if unicodedata.category(char) == "Cf" or char in _SELECTORS:
        return ""
    return _LOOK_ALIKES.get(char) or unicodedata.normalize("NFKC", char)


def readable(text: str) -> tuple[str, Callable[[int], int]]:
    """The text for patterns to search, and a function from places in it to places in `text`.

    >>> plain, place_of = readable("a\u200bb\u0435")
    >>> plain, place_of(0), place_of(1), place_of(3)
    ('abe', 0, 2, 4)
    """
    if text.isascii():
        return text, int
    letters = [(letter, place) for place, char in enumerate(text) for letter in _readable(char)]
    places = [*(place for _, place in letters), len(text)]
    return "".join(letter for letter, _ in letters), places.__getitem__
