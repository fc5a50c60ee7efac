"""The words by which the rules recognise a request: `words.toml`, one row per subject and language.

    matcher("legal").search(plain("Sonst schalte ich meinen Anwalt ein."))    # a match

All languages are searched at once, because people mix them and the language of a short mail is
easily mistaken. What a match means is left to `orders`, `amounts` and `fields`.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from importlib import resources
from itertools import pairwise

_SIMPLE = str.maketrans("’‘´`–—\u00a0\u202f\t", "''''--   ", "\u00ad\u200b") | {0xDF: "ss"}
_ABBREVIATION = "".join(rf"(?<!\b{a}\.)" for a in ("nr", "no", "num", "ref", "tel", "art"))
_END = re.compile(
    rf"(?<=[.!?;]){_ABBREVIATION}(?<!\d\.)\s+|(?<=\d\.)\s+(?=[^\W\d]{{3}})"
    r"|\n\s*\n|(?<=[.!?;:,])\n|\n(?=[-*•])"
)
_CLAUSE = re.compile(
    r",\s+(?:but|aber|mais|pero|doch|while|whereas|wahrend|tandis que|mientras|sondern|sino)\b"
    r"|\b(?:but|however|sondern|sino)\b"
)


@cache
def _tables() -> dict[str, dict[str, list[str]]]:
    text = resources.files("agentic_workflow.triage").joinpath("words.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def matcher(name: str) -> re.Pattern[str]:
    """The words of a table as one expression, in all languages, for `plain` text."""
    return re.compile(rf"(?<!\w){words(name)}(?!\w)")


@cache
def words(name: str) -> str:
    """The same as a group, to build other expressions from."""
    return "(?:" + "|".join(word for row in _tables()[name].values() for word in row) + ")"


def has(name: str, text: str) -> bool:
    """Whether plain text contains a word of the table."""
    return matcher(name).search(text) is not None


def count(name: str, text: str) -> int:
    """Number of different words of the table in plain text."""
    return len(set(matcher(name).findall(text)))


def table_names() -> list[str]:
    """The tables, in the order of the file."""
    return list(_tables())


def plain(text: str) -> str:
    """Lower case without accents, so that one spelling of a word is enough.

    >>> plain("Löschen Sie MEIN Konto – l’été")
    "loschen sie mein konto - l'ete"
    """
    letters = unicodedata.normalize("NFKD", text.translate(_SIMPLE).lower())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def sentences(text: str) -> list[str]:
    """Sentences of plain text, in one line each; a point in a number or after "no." ends none."""
    return [" ".join(part.split()) for part in _END.split(text) if part.strip()]


def clauses(text: str) -> list[str]:
    """Sentences, divided further where they turn to something else ("…, but …")."""
    return [part for sentence in sentences(text) for part in _split(sentence)]


def _split(sentence: str) -> list[str]:
    starts = [0, *(m.start() for m in _CLAUSE.finditer(sentence) if m.start()), len(sentence)]
    return [sentence[a:b].strip(" ,") for a, b in pairwise(starts)]
