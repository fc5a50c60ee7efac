"""Words of questions and of schemas: tokens, stems, synonyms and phrases (`lexicon.toml`).

[word.stem for word in tokenize("Anna's orders")]      # ['anna', 'order']
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

_TOKEN = re.compile(
    r"\d{4}-\d\d-\d\d|\d{4}s\b|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?=\D|$)|[^\W\d_]\w*|\w+|[€$£%,;]"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORDS = 100_000  # that are remembered with their stems
_GENERAL = (
    "type",
    "name",
    "code",
    "date",
    "number",
    "class",
    "status",
    "city",
    "group",
    "limit",
    "test",
    "line",
)


@dataclass(frozen=True)
class Word:
    """A word in lower case, with its stem and the synonym groups it belongs to."""

    text: str
    stem: str
    groups: frozenset[int] = frozenset()
    capital: bool = False

    def likeness(self, other: Word) -> float:
        """1 for the same word, 0.8 for synonyms, otherwise 0."""
        if self.stem == other.stem:
            return 1.0
        return 0.8 if self.groups & other.groups else 0.0


@cache
def lexicon() -> dict[str, Any]:
    """The tables of `lexicon.toml`."""
    text = resources.files(__package__).joinpath("lexicon.toml").read_text("utf-8")
    return tomllib.loads(text)


@cache
def ignored(name: str = "words") -> frozenset[str]:
    """Words without content: articles, auxiliaries, "records"."""
    return frozenset(lexicon()["ignored"][name].split())


UNITS: dict[str, tuple[str, float]] = {
    name: (kind, factor)
    for kind, units in lexicon()["units"].items()
    for name, factor in units.items()
}
"""Kind and size of a unit: {"hours": ("time", 3600), …}; money is counted in whole units."""
RATIOS = frozenset(lexicon()["units"]["ratio"])
SUFFIXES = UNITS.keys() - set("second minute hour day week month year euro dollar cent".split())
"""Units that end a column's name; "day" alone is the name of a day."""


@lru_cache(_WORDS)
def stem(text: str) -> str:
    """The stem of a word in lower case. For any number of threads.

    >>> stem("deliveries")
    'deliveri'
    """
    import snowballstemmer

    # A new one each time: a stemmer keeps the word in progress, and threads that share one mix up
    # their words.
    return str(snowballstemmer.stemmer("english").stemWord(text))


@lru_cache(_WORDS)
def word(text: str, *, capital: bool = False) -> Word:
    """The word of a text: irregular plurals resolved, stemmed.

    >>> word("deliveries").stem == word("delivery").stem
    True
    """
    text = lexicon()["irregular"].get(text.lower(), text.lower())
    return Word(text, stem(text), _groups().get(stem(text), frozenset()), capital)


@cache
def _groups() -> dict[str, frozenset[int]]:
    groups: dict[str, set[int]] = {}
    for number, line in enumerate(lexicon()["synonyms"]["groups"]):
        for name in line.split():
            groups.setdefault(stem(name), set()).add(number)
    return {stem: frozenset(numbers) for stem, numbers in groups.items()}


def tokenize(text: str) -> list[Word]:
    """The words of a sentence; "didn't" is "did not", and a possessive 's is dropped."""
    text = re.sub(r"[’`]", "'", text)
    text = re.sub(r"\bcannot\b|\bcan't\b", "can not", text)
    text = re.sub(r"n't\b", " not", text)
    text = re.sub(r"(?<=\w)'(?:s|re|ve|ll|d|m)?(?=\W|$)", " ", text)
    return [word(token, capital=token[0].isupper()) for token in _TOKEN.findall(text)]


def clauses(text: str) -> str:
    """A question with a comma for each bracket and full stop, and set phrases in plain words.

    >>> clauses("whats in stock (the app)?")
    'what is in stock , the app , ?'
    """
    text = re.sub(r"\bi\.?e\.|\be\.?g\.", ",", text, flags=re.I)
    text = re.sub(r"\s*[()]|[?!;](?=\s+\w)|(?<=[a-z]{3})\.(?=\s+[A-Z])|\s[-–—]\s", " , ", text)
    text = re.sub(r"\b(have|has|is|are|was|were|do|does|did)nt\b", r"\1 not", text, flags=re.I)
    text = re.sub(r"\b(what|who|where|when)s\b", r"\1 is", text, flags=re.I)
    for phrase, plain in lexicon()["phrases"].items():
        end = r"(?:(?<!\w)|(?!\w))"  # no word is cut
        text = re.sub(rf"\b(?:{phrase}){end}", plain, text, flags=re.I)
    return text


@cache
def name_words(name: str) -> tuple[Word, ...]:
    """The words of a table's or a column's name, abbreviations written out.

    >>> [w.text for w in name_words("OrderQty")], [w.text for w in name_words("CUSTNO")]
    (['order', 'quantity'], ['customer', 'number'])
    """
    parts = re.findall(r"[^\W_]+", (name if name.isupper() else _CAMEL.sub("_", name)).lower())
    short = lexicon()["abbreviations"]
    pieces = [piece for part in parts for piece in _pieces(part, name.isupper())]
    parts = [part for piece in pieces for part in short.get(piece, piece).split()]
    empty = {"of"} | ignored("tables")  # "date of birth"
    parts = [p for p in parts if p not in empty] or parts
    return tuple(map(word, parts or [name]))


@cache
def _pieces(name: str, is_upper: bool) -> tuple[str, ...]:
    """A run-together name in two parts, of which one at least is an abbreviation: cust|no."""
    short = lexicon()["abbreviations"]

    def is_known(part: str) -> bool:
        return part in short or part in _GENERAL or word(part).stem in _groups()

    if is_known(name):
        return (name,)
    for cut in range(2, len(name) - 1):
        left, right = name[:cut], name[cut:]
        brief = left in short or right in short
        if brief and is_known(left) and is_known(right):
            return left, right
    if len(name) > 5 and name[-2:] in ("no", "nm", "dt", "cd") and is_upper:
        return name[:-2], name[-2:]
    return (name[1:],) if name[1:] in _GENERAL else (name,)  # ctype: the type of a customer
