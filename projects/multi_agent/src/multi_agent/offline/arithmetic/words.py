"""The words of words.toml: units, currencies, and those that change nothing.

UNITS["kilometres"], CURRENCIES["euros"]      # ("kilometres", "EUR")
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

_FILE: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
_UNITS: dict[str, str] = _FILE["units"]

NEUTRAL = frozenset(_FILE["neutral"].split())
DECISIVE = frozenset(_FILE["decisive"].split())
PLURALS = frozenset(_FILE["plurals"].split())
GROUPS: dict[str, str] = _FILE["groups"]
CURRENCIES: dict[str, str] = {
    name: code for code, names in _FILE["currencies"].items() for name in names.split()
}
_names = [
    *_UNITS["others"].split(),
    *map("".join, product(["", *_UNITS["prefixes"].split()], _UNITS["metric"].split())),
]
UNITS: dict[str, str] = {
    **{name: name for name in _names},
    **{f"{name}s": f"{name}s" for name in _names if name.isalpha() and len(name) > 1},
    **_FILE["aliases"],
}
"""Names of units as tasks spell them, with those that pint understands."""
_SPELLINGS = [(re.compile(old), new) for old, new in _FILE["spellings"].items()]


def normalized(text: str) -> str:
    """A text in small letters, with one spelling for what has several.

    >>> normalized("What’s 12 × 3?")
    'what is 12  *  3?'
    """
    text = text.lower()
    for old, new in _SPELLINGS:
        text = old.sub(new, text)
    return text


def alternatives(names: Iterable[str]) -> str:
    """A regular expression that matches one of the names as a whole, the longest first."""
    ordered = sorted(names, key=len, reverse=True)
    return rf"(?:{'|'.join(map(re.escape, ordered))})(?![^\W\d]|²)"
