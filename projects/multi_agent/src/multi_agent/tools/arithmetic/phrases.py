"""The words and phrases of phrases.toml: units, rules and frames, each compiled once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))

CURRENCIES = {code: names.split(",")[0] for code, names in _FILE["currencies"].items()}
DISPLAY = {name: names.split(",")[0] for name, names in _FILE["units"].items()}
UNITS = {
    alias.strip().lower(): name
    for name, names in _FILE["units"].items()
    for alias in names.split(",")
    if alias != "in"  # the preposition
}
MONEY = {
    alias.strip(): code for code, names in _FILE["currencies"].items() for alias in names.split(",")
}
_THINGS = frozenset(_FILE["neutral"]["things"].split())
NEUTRAL = frozenset(_FILE["neutral"]["words"].split())

_CLASSES = {"V": "[NFMSKGX]", "Q": "[MSKGX]", "Y": "[PF]", "A": "[NM]", "W": "[NFMSKG]"}
_COUNT = r"N\d+ (?:_\S+ ){0,2}"
_SLOT = re.compile(r"\[|\]|\(|\)|\||~|[^\s\[\]()|~]+")


@dataclass(frozen=True)
class Frame:
    """A little story: values by type, the words that it needs, and an expression per question."""

    name: str
    slots: tuple[str, ...]
    needs: re.Pattern[str]
    forbids: re.Pattern[str] | None
    words: frozenset[str]
    answers: tuple[tuple[re.Pattern[str], str], ...]


@cache
def rules() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Phrases and their expressions, in order of precedence."""
    return tuple((_compile(phrase), expression) for phrase, expression in _FILE["rules"].items())


@cache
def frames() -> tuple[Frame, ...]:
    """The little stories, the most specific first."""
    return tuple(_frame(entry) for entry in _FILE["frames"])


@cache
def vocabulary() -> frozenset[str]:
    """Every word with a meaning of its own; others are names of things."""
    text = " ".join([*_FILE["rules"], *(" ".join(frame.words) for frame in frames())])
    words = re.findall(r"[a-z]+", text)
    return (NEUTRAL | frozenset(words) | frozenset(_FILE["neutral"]["blocking"].split())) - _THINGS


def alternatives(names: Iterable[str]) -> str:
    """A group that matches one of the names as a whole, the longest first."""
    ordered = sorted(names, key=len, reverse=True)
    return "(" + "|".join(re.escape(name) for name in ordered) + r")(?:(?<=[a-z])(?!\w)|(?<![a-z]))(?![²³])"


def slot_class(letter: str) -> str:
    """The kinds of value that a slot takes, as a regular expression."""
    return _CLASSES.get(letter, letter)


def _compile(phrase: str) -> re.Pattern[str]:
    """`[the] sum of L` as a regular expression over words that each end with a space."""
    parts = []
    for part in _SLOT.findall(_marked(phrase)):
        if part in ("[", "("):
            parts.append("(?:")
        elif part in ("]", ")", "|"):
            parts.append({"]": ")?", ")": ")", "|": "|"}[part])
        elif part == "~":
            parts.append(r"(?:(?:the|a|an|my|our|its) )?(?:_\S+ ){1,3}")
        elif part == "C":
            parts.append(f"({_COUNT})")
        elif part == "L":
            value = rf"{_CLASSES['V']}\d+ "
            parts.append(f"({value}(?:(?:, and |, |and ){value})+)")
        elif part.isupper():
            parts.append(rf"({slot_class(part)}\d+) ")
        else:
            parts.append(re.escape(part) + " ")
    return re.compile(r"(?<!\S)" + "".join(parts))


def _frame(entry: dict[str, Any]) -> Frame:
    texts = [entry["needs"], entry["words"], *(pattern for pattern, _ in entry["answers"])]
    return Frame(
        entry["name"],
        tuple(entry["slots"].split()),
        _words(entry["needs"]),
        _words(entry["forbids"]) if "forbids" in entry else None,
        frozenset(re.findall(r"[a-z]+", " ".join(texts))),
        tuple((_words(pattern), expression) for pattern, expression in entry["answers"]),
    )


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\S)(?:{_marked(pattern)})")


def _marked(pattern: str) -> str:
    """Names of things have a mark, as in the text."""
    return re.sub(r"[a-z]+", lambda m: f"_{m[0]}" if m[0] in _THINGS else m[0], pattern)
