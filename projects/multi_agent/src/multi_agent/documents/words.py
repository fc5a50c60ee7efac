"""Words of questions and documents in a form in which they can be compared; lists in `words.toml`.

    [token.term for token in tokens("The kettles' prices")]      # ['the', 'kettl', 'cost']
    weights("How much do the kettles cost?")                     # {'kettl': 1.0, 'cost': 0.3}

A term is the stem of a word, or of the first word of its group of synonyms; number words are digits.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

WEAK = 0.3  # weight of a vague word


class Token(NamedTuple):
    """A word at `text[start:end]`, and the term it counts as."""

    word: str
    term: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """All words and numbers of a text.

    >>> [token.term for token in tokens("Three kettles, 1,000 bicycles")]
    ['3', 'kettl', '1000', 'bike']
    """
    return [Token(m[0], term(m[0].lower()), *m.span()) for m in _words().finditer(text)]


@cache
def term(word: str) -> str:
    """The term of a lower-case word."""
    if word in _lists()["numbers"]:
        return str(_lists()["numbers"].index(word))
    if word[0].isdigit():
        return re.sub(r",(?=\d{3}\b)", "", word)
    word = re.sub(r"(?:g?ing)?[- ]", "", word)  # "checking in", "check-in"
    return _groups().get(_stem(word), _stem(word)).removeprefix("-")


def weights(question: str) -> dict[str, float]:
    """The terms of a question that an answer must be about, with their weights."""
    for pattern, replacement in _data()["phrases"]:
        question = re.sub(pattern, replacement, question, flags=re.IGNORECASE)
    words = [t for t in tokens(question) if t.word.lower() not in _lists()["stop"]]
    weak = {term(word) for word in _lists()["weak"]}
    return {t.term: WEAK if t.term in weak else 1.0 for t in words}


def is_stop(word: str) -> bool:
    """Whether a word has no subject of its own: "the", "of"."""
    return word.lower() in _lists()["stop"]


def is_negative(word: str) -> bool:
    """Whether a word denies: "not", "cannot", "prohibited"."""
    word = word.lower()
    return word in _lists()["negative"] or _groups().get(_stem(word), "").startswith("-")


@cache
def _words() -> re.Pattern[str]:
    return re.compile(rf"{_data()['compounds']}|\d+(?:[.,]\d+)*|[^\W\d_]+", re.IGNORECASE)


@cache
def _stem(word: str) -> str:
    if not re.search("[aeiouy]", word):  # the stemmer leaves "dvds" as it is
        return word.removesuffix("s")
    return str(_stemmer().stemWord(word))


@cache
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")


@cache
def _data() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("words.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _lists() -> dict[str, list[str]]:
    return {name: text.split() for name, text in _data().items() if isinstance(text, str)}


@cache
def _groups() -> dict[str, str]:
    """The first stem of the group of each stem, after "-" for the opposite."""
    groups: dict[str, str] = {}
    for line in _data()["groups"].split("\n"):
        for word in line.split():
            minus = "-" if word.startswith("-") else ""
            groups.setdefault(_stem(word.strip("-")), minus + _stem(line.split()[0]))
    return groups
