r"""A small phrase grammar: text files of phrases, expanded at random, split by whole phrases.

It knows no task: what a slot becomes is the caller's affair. In a phrase

    <a|b|c>   one of these (may be nested, may be empty)
    [text]    there in six of ten cases
    {slot}    filled by the caller
    \n        a line's end

A file has one phrase a line; lines with `#` are comments. A line `@ key=value key` opens a section:
what it gives holds for the phrases below it, as far as the next `@`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from random import Random

PARTS = ("train", "dev", "test")
_OPTIONAL = 0.6


@dataclass(frozen=True)
class Phrase:
    """`given` is what its section says: values it implies, without a slot for them."""

    text: str
    given: Mapping[str, str]


@cache
def read_phrases(package: str, file: str) -> tuple[Phrase, ...]:
    """The phrases of `phrases/<file>` in an importable package."""
    text = (resources.files(package) / "phrases" / file).read_text(encoding="utf-8")
    given: dict[str, str] = {}
    phrases = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("@"):
            pairs = (word.partition("=") for word in line[1:].split())
            given = {key: value for key, _, value in pairs}
        elif line and not line.startswith("#"):
            phrases.append(Phrase(line.replace("\\n", "\n"), given))
    return tuple(phrases)


def fraction(text: str) -> float:
    """A number in [0, 1) that is the same for the same text in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def part_of(text: str, *, held_out: float = 0.16) -> str:
    """The part a value belongs to; `held_out` is the share of dev and test together."""
    place = fraction(text)
    return "test" if place < held_out / 2 else "dev" if place < held_out else "train"


def split(phrases: tuple[Phrase, ...], part: str, *, every: int = 10) -> list[Phrase]:
    """The phrases of one part: of each section one in `every` is dev's and one is test's."""
    sections: dict[tuple[tuple[str, str], ...], list[Phrase]] = {}
    for phrase in phrases:
        sections.setdefault(tuple(phrase.given.items()), []).append(phrase)
    chosen = []
    for members in sections.values():
        for place, phrase in enumerate(sorted(members, key=lambda p: fraction(p.text))):
            if {0: "dev", 1: "test"}.get(place % every, "train") == part:
                chosen.append(phrase)
    return chosen


def expand(text: str, rng: Random, fill: Callable[[str], str]) -> str:
    """One reading of a phrase; slots are filled from left to right, only those that are read."""
    done, at = _sequence(text, 0, "", rng, fill)
    if at != len(text):
        raise ValueError(f"unbalanced phrase at {at}: {text!r}")
    return done


def _sequence(
    text: str, at: int, stop: str, rng: Random, fill: Callable[[str], str]
) -> tuple[str, int]:
    out: list[str] = []
    while at < len(text) and text[at] not in stop:
        if text[at] in "<[":
            choices, at = _choices(text, at)
            if len(choices) > 1 or text[at - 1] == ">":
                out.append(expand(rng.choice(choices), rng, fill))
            elif rng.random() < _OPTIONAL:
                out.append(expand(choices[0], rng, fill))
        elif text[at] == "{":
            end = text.index("}", at)
            out.append(fill(text[at + 1 : end]))
            at = end + 1
        else:
            out.append(text[at])
            at += 1
    return "".join(out), at


def _choices(text: str, at: int) -> tuple[list[str], int]:
    """The alternatives of the bracket that opens at `at`, and where its closing one ends."""
    depth, start = 0, at + 1
    choices: list[str] = []
    for place in range(at, len(text)):
        depth += (text[place] in "<[") - (text[place] in ">]")
        if depth == 0:
            return [*choices, text[start:place]], place + 1
        if depth == 1 and text[place] == "|" and text[at] == "<":
            choices.append(text[start:place])
            start = place + 1
    raise ValueError(f"unclosed bracket at {at}: {text!r}")
