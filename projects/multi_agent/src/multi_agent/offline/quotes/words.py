"""Words of questions and documents in a form in which they can be compared; lists in `words.toml`.

[token.term for token in tokens("The kettles' prices")]      # ['the', 'kettl', 'cost']
weights("How much do the kettles cost?")                     # {'kettl': 1.0, 'cost': 0.3}
"""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
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
    return [Token(m[0], term(m[0].lower()), *m.span()) for m in load()["word"].finditer(text)]


@lru_cache(100_000)
def term(word: str) -> str:
    """The stem of a lower-case word, or of the first in its group; digits for a number word."""
    if word in load()["numbers"]:
        return str(load()["numbers"].index(word))
    if word[0].isdigit():
        return re.sub(r",(?=\d{3}\b)", "", word)
    stem = _stem(re.sub(r"(?:g?ing)?[- ]", "", word))  # "checking in", "check-in"
    return str(load()["groups"].get(stem, stem)).removeprefix("-")


def weights(question: str) -> dict[str, float]:
    """The terms of a question that an answer must be about, with their weights."""
    for pattern, replacement in load()["phrases"]:
        question = re.sub(pattern, replacement, question, flags=re.IGNORECASE)
    words = [token for token in tokens(question) if not is_in("stop", token.word)]
    weak = {term(word) for word in load()["weak"]}
    return {token.term: WEAK if token.term in weak else 1.0 for token in words}


def is_in(name: str, word: str) -> bool:
    """Whether a word is in the list "stop" or "negative"; "prohibited" is negative by its group."""
    opposite = name == "negative" and load()["groups"].get(_stem(word.lower()), "").startswith("-")
    return word.lower() in load()[name] or opposite


@cache
def load() -> dict[str, Any]:
    """`words.toml`: texts as lists of words, `groups` by stem ("-" before the opposite)."""
    text = resources.files(__package__).joinpath("words.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    groups: dict[str, str] = {}
    for line in filter(str.strip, data.pop("groups").split("\n")):
        for word in line.split():
            minus = "-" if word.startswith("-") else ""
            groups.setdefault(_stem(word.strip("-")), minus + _stem(line.split()[0]))
    word = re.compile(rf"{data.pop('compounds')}|\d+(?:[.,]\d+)*|[^\W\d_]+", re.IGNORECASE)
    lists = {name: value.split() for name, value in data.items() if isinstance(value, str)}
    return {"phrases": data["phrases"], "groups": groups, "word": word, **lists}


def _stem(word: str) -> str:
    import snowballstemmer

    if not re.search("[aeiouy]", word):  # the stemmer leaves "dvds" as it is
        return word.removesuffix("s")
    return str(snowballstemmer.stemmer("english").stemWord(word))
