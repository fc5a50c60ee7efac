"""Prompts as a person reads them: no invisible characters, and plain letters for look-alikes.

    text, place_of = readable("Ign\u200bor\u0435")    # "Ignore", with a Cyrillic last letter

Patterns are written in plain letters. Without this, an invisible character would hide an
instruction, an address or a blocked term from them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

# Format characters and variation selectors, among them those that carry hidden text (E0000).
_INVISIBLE = (
    *(0xAD, 0x34F, 0x61C, 0x180E, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F)),
    *(*range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE0200)),
)
_SPACES = "\u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
# The letters of Cyrillic and Greek that most fonts draw as Latin ones (Unicode's confusables.txt).
_LOOK_ALIKES = {
    "АВЕЅІЈКМНОРСТХҮ": "ABESIJKMHOPCTXY",
    "аеѕіјорсухԁһԛԝ": "aesijopcyxdhqw",
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ": "ABEZHIKMNOPTYX",
    "αινορυ": "aivopu",
}
# Fullwidth, mathematical and circled characters, which Unicode itself calls compatible.
_COMPATIBLE = (*range(0xFF01, 0xFF5F), *range(0x1D400, 0x1D800), *range(0x24B6, 0x24EA))
_PLAIN: dict[int, str | None] = (
    {code: unicodedata.normalize("NFKC", chr(code)) for code in _COMPATIBLE}
    | {ord(space): " " for space in _SPACES}
    | {
        ord(odd): plain
        for odds, letters in _LOOK_ALIKES.items()
        for odd, plain in zip(odds, letters, strict=True)
    }
    | dict.fromkeys(_INVISIBLE)
)


def readable(text: str) -> tuple[str, Callable[[int], int]]:
    """The text for patterns to search, and a function from places in it to places in `text`.

    >>> plain, place_of = readable("a\u200bb\u0435")
    >>> plain, place_of(0), place_of(1), place_of(3)
    ('abe', 0, 2, 4)
    """
    plain = text if text.isascii() else text.translate(_PLAIN)
    if len(plain) == len(text):  # one character for each
        return plain, lambda place: place
    places = [n for n, char in enumerate(text) if _PLAIN.get(ord(char), "") is not None]
    return plain, [*places, len(text)].__getitem__
