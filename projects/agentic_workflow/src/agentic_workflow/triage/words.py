"""The words by which the rules recognise a request: tables in `words.toml` and `grammar.toml`.

    has("legal", plain("Sonst schalte ich meinen Anwalt ein."))    # True

A table has one row per language. All rows are searched at once, because people mix languages and
that of a short mail is easily mistaken. What a match means is left to `orders`, `amounts` and
`fields`.
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
def tables(file: str) -> dict[str, dict[str, list[str]]]:
    """The tables of words.toml or grammar.toml: name, language, regular expressions."""
    text = resources.files("agentic_workflow.triage").joinpath(file).read_text("utf-8")
    return tomllib.loads(text)


@cache
def words(name: str) -> str:
    """The words of a table as one group, to build other expressions from."""
    rows = (tables("words.toml").get(name) or tables("grammar.toml")[name]).values()
    return "(?:" + "|".join(word for row in rows for word in row) + ")"


@cache
def matcher(name: str) -> re.Pattern[str]:
    """Matches whole words of a table in `plain` text."""
    return re.compile(rf"(?<!\w){words(name)}(?!\w)")


def has(name: str, text: str) -> bool:
    """Whether plain text contains a word of the table."""
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
