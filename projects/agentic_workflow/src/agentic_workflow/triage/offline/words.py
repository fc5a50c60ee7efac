"""The words by which the rules recognize a request, one file a language: `words/en.toml` and so on.

    has("legal", plain("Sonst schalte ich meinen Anwalt ein."))    # True

All languages are searched at once, because people mix them and that of a short mail is easily
mistaken; `words/any.toml` has what they share. What a match means is left to `orders`, `amounts`
and `fields`. The lists are frozen: whatever they miss has to lack another proof of `decide/alone`.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from importlib import resources
from itertools import pairwise

_SIMPLE = str.maketrans("’‘´`–—\u00a0\u202f\t", "''''--   ", "\u00ad\u200b") | {0xDF: "ss"}
_ABBREVIATION = r"(?<!nr\.)" + "".join(rf"(?<!\b{a}\.)" for a in ("no", "num", "ref", "tel", "art"))
_END = re.compile(
    rf"(?<=[.!?;]){_ABBREVIATION}(?<!\d\.)\s+|(?<=\d\.)\s+(?=[^\W\d]{{3}})"
    r"|\n\s*\n|(?<=[.!?;:,])\n|\n(?=[-*•]|[^\n:.]{2,25}: )"
)


@cache
def rows(name: str) -> tuple[str, ...]:
    """The regular expressions of a list, in all languages."""
    files = sorted((resources.files(__package__) / "words").iterdir(), key=lambda file: file.name)
    tables = [tomllib.loads(file.read_text("utf-8")) for file in files if file.name[-5:] == ".toml"]
    return tuple(word for table in tables for word in table.get(name, ()))


@cache
def words(name: str) -> str:
    """The words of a list as one group, to build other expressions from; none for no list."""
    return f"(?:{'|'.join(rows(name)) or '(?!)'})"


@cache
def matcher(name: str) -> re.Pattern[str]:
    """Matches whole words of a list in `plain` text."""
    return re.compile(rf"(?<!\w){words(name)}(?!\w)")


def has(name: str, text: str) -> bool:
    """Whether plain text contains a word of the list."""
    return matcher(name).search(text) is not None


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
    parts, turn = [], re.compile(words("turn"))
    for sentence in sentences(text):
        starts = [0, *(m.start() for m in turn.finditer(sentence) if m.start()), len(sentence)]
        parts += [sentence[a:b].strip(" ,") for a, b in pairwise(starts)]
    return parts
