"""What a question asks for: its language, its terms, and the names that an answer must have.

>>> question = read_question("Which toner does the Atlas need after E40?")
>>> question.language, sorted(question.terms), question.names
('en', ['atlas', 'e40', 'toner'], ('atlas', 'e40'))
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

from rag_chatbot.read.language import STOP_WORDS, language_of, subject_terms, terms

_TOKEN = re.compile(r"--?\w[\w-]*|\w(?:[\w.+/-]*\w)?")
_CODE_NAME = re.compile(r"\d|^--?\w|\w_\w|\w\w\.\w\w")  # versions, numbers, options, attributes
_PLAIN_NUMBER = re.compile(r"[\d,]+(?:\.\d+)?|\d+(?:st|nd|rd|th|%)")
NOUNS_ARE_CAPITAL = "de"  # where a capital letter does not make a word a name


@dataclass(frozen=True)
class Question:
    """`terms` are stems; `names` are in lower case: numbers, names in code, capitalised words."""

    text: str
    language: str
    terms: frozenset[str]
    names: tuple[str, ...]

    def coverage(self, present: Set[str]) -> float:
        """The share of the terms that is present, 0 to 1."""
        return len(self.terms & present) / max(1, len(self.terms))

    def lacks_name(self, text: str, present: Set[str]) -> bool:
        """Whether a name of the question is missing in `text`, whose terms are `present`."""
        return not all(_contains(text, name, present, self.language) for name in self.names)

    @property
    def identifiers(self) -> list[str]:
        """The names other than words and plain numbers: versions, part numbers, options."""
        return [
            name
            for name in self.names
            if _CODE_NAME.search(name) and not _PLAIN_NUMBER.fullmatch(name)
        ]

    def has_identifiers(self, text: str) -> bool:
        """Whether `text` has all identifiers of the question."""
        return all(_contains(text, name, frozenset(), self.language) for name in self.identifiers)


def read_question(text: str) -> Question:
    """The question with what `features` needs to know of it."""
    language = language_of(text)
    names: dict[str, None] = {}
    for match in _TOKEN.finditer(text):
        word = match[0]
        capital = match.start() > 0 and word[0].isupper() and language != NOUNS_ARE_CAPITAL
        if _CODE_NAME.search(word) or (capital and word.lower() not in STOP_WORDS):
            names[word.lower()] = None
    return Question(text, language, frozenset(subject_terms(text, language)), tuple(names))


def _contains(text: str, name: str, present: Set[str], language: str) -> bool:
    if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE):
        return True
    stems = terms(name, language)  # "Planets" for "planet", but 3.1 only for itself
    return not _CODE_NAME.search(name) and bool(stems) and present >= set(stems)
