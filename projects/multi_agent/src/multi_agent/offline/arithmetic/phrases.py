"""The words, phrases and little stories of phrases.toml, each compiled once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE: dict[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def _aliases(table: str) -> dict[str, str]:
    entries = _FILE[table].items()
    return {alias.strip().lower(): key for key, text in entries for alias in text.split(",")}


LISTS: dict[str, str] = _FILE["lists"]
FRACTIONS: dict[str, int] = _FILE["fractions"]
SCALES: dict[str, int] = _FILE["scales"]
SPELLINGS: dict[str, str] = _FILE["spellings"]
CURRENCIES = {code: names.split(",")[0] for code, names in _FILE["currencies"].items()}
DISPLAY = {name: names.split(",")[0] for name, names in _FILE["units"].items()}
UNITS = {alias: name for alias, name in _aliases("units").items() if alias != "in"}
MONEY = _aliases("currencies")
NEUTRAL = frozenset(LISTS["neutral"].split())
CUES = {name: re.compile(rf"\b(?:{words})\b") for name, words in _FILE["cues"].items()}
_THINGS = frozenset(LISTS["things"].split())
_CLASSES: dict[str, str] = _FILE["classes"]
_VALUE = rf"{_CLASSES['V']}\d+ "
_PARTS = {
    "[": "(?:",
    "(": "(?:",
    "]": ")?",
    ")": ")",
    "|": "|",
    "~": r"(?:(?:the|a|an|my|our|its) )?(?:_\S+ ){1,3}",
    "C": r"(N\d+ (?:_\S+ ){0,2})",
    "L": f"({_VALUE}(?:(?:, and |, |and ){_VALUE})+)",
}


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
def rules(*tables: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Phrases and their expressions, in order of precedence."""
    entries = [entry for table in tables for entry in _FILE[table].items()]
    return tuple((_phrase(phrase), expression) for phrase, expression in entries)


@cache
def frames() -> tuple[Frame, ...]:
    """The little stories."""
    return tuple(_frame(entry) for entry in _FILE["frames"])


@cache
def vocabulary() -> frozenset[str]:
    """Every word with a meaning of its own; others are names of things."""
    text = " ".join(
        [
            *_FILE["rates"],
            *_FILE["rules"],
            LISTS["blocking"],
            *(" ".join(f.words) for f in frames()),
        ]
    )
    return (NEUTRAL | frozenset(re.findall(r"[a-z]+", text))) - _THINGS


def alternatives(names: Iterable[str]) -> str:
    """A group that matches one of the names as a whole, the longest first."""
    ordered = sorted(names, key=len, reverse=True)
    end = r"(?:(?<=[a-z])(?!\w)|(?<![a-z]))(?![²³])"
    return f"({'|'.join(map(re.escape, ordered))}){end}"


def slot_class(letter: str) -> str:
    """The kinds of value that a slot takes, as a regular expression."""
    return _CLASSES.get(letter, letter)


def _phrase(phrase: str) -> re.Pattern[str]:
    """`[the] sum of L` as a regular expression over words that each end with a space."""
    parts = []
    for part in re.findall(r"[\[\]()|~]|[^\s\[\]()|~]+", _marked(phrase)):
        word = rf"({slot_class(part)}\d+) " if part.isupper() else f"{re.escape(part)} "
        parts.append(_PARTS.get(part, word))
    return re.compile(rf"(?<!\S){''.join(parts)}")


def _frame(entry: dict[str, Any]) -> Frame:
    needs, forbids, answers = entry["needs"], entry.get("forbids"), entry["answers"]
    words = " ".join([needs, entry["words"], *(pattern for pattern, _ in answers)])
    return Frame(
        entry["name"],
        tuple(entry["slots"].split()),
        _words(needs),
        _words(forbids) if forbids else None,
        frozenset(re.findall(r"[a-z]+", words)),
        tuple((_words(pattern), expression) for pattern, expression in answers),
    )


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\S)(?:{_marked(pattern)})")


def _marked(pattern: str) -> str:
    """Names of things have a mark, as in the text."""
    return re.sub(r"[a-z]+", lambda m: f"_{m[0]}" if m[0] in _THINGS else m[0], pattern)
