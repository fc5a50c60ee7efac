"""Words of questions and documents in a form in which they can be compared.

    [token.term for token in tokens("The kettles' prices")]      # ['the', 'kettl', 'cost']
    weights("How much do the kettles cost?")                     # {'kettl': 1.0, 'cost': 1.0}

A term is the stem of a word, or of the first word of its group in `synonyms.txt`; number words are
digits. What a question asks for (a price, a date) is left to `span`.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty"
).split()
_STOP = set(
    """a about an and any are as at be been being but by can could did do does for from had has have
    how i if in into is it its me my of on or our out per shall should so some than that the their
    them then there these they this those to up us was we were what when where which while who whom
    whose why will with within would you your am im ive whats much many long please tell exactly
    must may might let under according not no s t re ll only also very just after before during
    over above below between each every all more less through until unless without upon else""".split()
)
# Words that documents often leave out or put differently: they count less.
_WEAK = set(
    """get take need use make give go come have keep want ask put set provide offer happen apply work
    know find receive person people someone anyone customer employee member user item thing
    company policy rule document back right possible able available currently usually normally
    normal general way kind type sort time number amount name call cost long last open many new one
    different main total official require should back""".split()
)
_PHRASES = (
    (
        r"\b(?:sen[dt]|giv\w+|bring\w*|brought|take|took|hand)\b((?:\s+\w+){0,3}?)\s+back\b",
        r"return\1",
    ),
    (r"\bmoney\s+back\b", "refund"),
    (r"\bget in touch|\bget hold of|\breach\b", "contact"),
    (r"\bcall(?:ed|ing)? off\b", "cancel"),
    (r"\be-mail", "email"),
    (r"\bwi-fi\b", "wifi"),
)
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")


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
    matches = _WORD.finditer(text)
    return [Token(m[0], term(m[0].lower()), m.start(), m.end()) for m in matches]


@cache
def term(word: str) -> str:
    """The stem of a lower-case word or of its group's first word; digits for number words."""
    if word in NUMBER_WORDS:
        return str(NUMBER_WORDS.index(word))
    if word[0].isdigit():
        return re.sub(r",(?=\d{3}\b)", "", word)
    stem = _stem(word)
    return _synonyms()[0].get(stem, stem)


def weights(question: str) -> dict[str, float]:
    """The terms of a question that an answer must be about, 0.3 for vague ones, others 1."""
    for pattern, replacement in _PHRASES:
        question = re.sub(pattern, replacement, question, flags=re.IGNORECASE)
    words = [t for t in tokens(question) if t.word.lower() not in _STOP]
    weak = {term(word) for word in _WEAK}
    return {t.term: 0.3 if t.term in weak and not t.word[0].isdigit() else 1.0 for t in words}


def is_negative(word: str) -> bool:
    """Whether a word denies: "not", "cannot", "prohibited"."""
    word = word.lower()
    return word in _NEGATIONS or _stem(word) in _synonyms()[1]


_NEGATIONS = set(
    "not no never cannot without neither nor none isn aren don doesn won can't".split()
)


@cache
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@cache
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")


@cache
def _synonyms() -> tuple[dict[str, str], frozenset[str]]:
    """(stem → stem of its group's first word, stems that mean the opposite of their group)."""
    text = resources.files(__package__).joinpath("synonyms.txt").read_text(encoding="utf-8")
    groups, opposite = {}, set()
    for line in text.splitlines():
        if line and not line.startswith("#"):
            first, *others = line.split()
            for word in (first, *others):
                stem = _stem(word.removeprefix("-"))
                groups.setdefault(stem, _stem(first))
                opposite |= {stem} if word.startswith("-") else set()
    return groups, frozenset(opposite)
