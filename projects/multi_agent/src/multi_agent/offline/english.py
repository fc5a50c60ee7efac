"""English as the rules of the offline brain read it: words, stems, numbers, months and units.

>>> [token.stem for token in tokenize("Anna's deliveries didn't arrive")]
['anna', 'deliveri', 'did', 'not', 'arriv']
>>> read_number(tokenize("twenty-five thousand orders"))
(25000.0, 3)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

_TOKEN = (
    r"\d{4}-\d\d-\d\d|\d+(?:,\d{3})+(?:\.\d+)?|\d+\.\d+"
    r"|[^\W_]+(?:['’](?:s|t|re|ve|ll|d|m)\b)?|[€$£%,;]"
)
_CACHED = 100_000
_NUMBER = 4  # tokens of a number in words
_IRREGULAR = dict(
    pair.split(":")
    for pair in (
        "people:person men:man women:woman children:child bought:buy sold:sell spent:spend "
        "paid:pay taught:teach wrote:write written:write born:birth held:hold took:take "
        "taken:take won:win lost:lose sent:send lent:lend left:leave built:build"
    ).split()
)
MONTHS = (
    "january february march april may june july august september october november december".split()
)
MONTH = "|".join(rf"{name}|{name[:4]}\b\.?|{name[:3]}\b\.?" for name in MONTHS)
"""A regular expression of months: "march", "sept.", "jan"."""

_UNITS = {
    "time": "ms=0.001 second=1 sec=1 minute=60 min=60 hour=3600 hr=3600 day=86400 week=604800 "
    "month=2629800 year=31557600",
    "money": "euro=1 eur=1 €=1 dollar=1 usd=1 $=1 pound=1 gbp=1 £=1 franc=1 chf=1 cent=0.01 "
    "penny=0.01 pence=0.01",
    "weight": "mg=0.000001 g=0.001 gram=0.001 kg=1 kilogram=1 tonne=1000",
    "length": "mm=0.001 cm=0.01 m=1 metre=1 meter=1 km=1000 kilometre=1000 kilometer=1000 "
    "mile=1609.344",
    "volume": "ml=0.001 l=1 litre=1 liter=1 hl=100",
    "area": "sqm=1",
    "energy": "kwh=1 mwh=1000",
    "ratio": "percent=1 pct=1 %=1",
}
CURRENCIES = dict(
    pair.split("=")
    for pair in "euro=EUR euros=EUR eur=EUR €=EUR dollar=USD dollars=USD usd=USD $=USD "
    "pound=GBP pounds=GBP gbp=GBP £=GBP franc=CHF francs=CHF chf=CHF".split()
)
"""Codes of currencies by their names and signs."""
UNITS = {
    name: (kind, float(size))
    for kind, units in _UNITS.items()
    for name, size in (unit.split("=") for unit in units.split())
}
"""Kind and size of a unit, in the singular: {"hour": ("time", 3600), …}."""


@dataclass(frozen=True)
class Token:
    """A word, a number or a sign, in lower case with its stem."""

    text: str
    stem: str
    capital: bool = False


def month_number(text: str) -> int:
    """The number of a month, 1 to 12, from its first three letters; 0 without any.

    >>> month_number("sept."), month_number("may"), month_number("")
    (9, 5, 0)
    """
    return ["", *(name[:3] for name in MONTHS)].index(text[:3])


@lru_cache(_CACHED)
def stem(text: str) -> str:
    """The stem of a word in lower case; safe for any number of threads.

    >>> stem("deliveries") == stem("delivery"), stem("people") == stem("persons")
    (True, True)
    """
    import snowballstemmer

    # A new one each time: a stemmer keeps the word in progress, and threads that share one mix up
    # their words.
    return str(snowballstemmer.stemmer("english").stemWord(_IRREGULAR.get(text, text)))


def tokenize(text: str, signs: str = "") -> list[Token]:
    """The tokens of a text, with the punctuation in `signs`.

    "Didn't" is "did not", and other endings with an apostrophe go.
    """
    tokens = []
    for match in _pattern(signs).finditer(text):
        word, apostrophe, ending = re.sub("’", "'", match[0].lower()).partition("'")
        capital = match[0][0].isupper()
        if apostrophe and ending == "t":
            word = "can" if word == "can" else word.removesuffix("n")
        tokens.append(Token(word, stem(word), capital))
        if apostrophe and ending == "t":
            tokens.append(Token("not", "not"))
    return tokens


@cache
def _pattern(signs: str) -> re.Pattern[str]:
    return re.compile(_TOKEN + (f"|[{re.escape(signs)}]" if signs else ""))


def read_number(tokens: Sequence[Token]) -> tuple[float, int] | None:
    """The number that the tokens begin with, in digits or words, and its count of tokens."""
    texts = [token.text.replace(",", "") for token in tokens[:_NUMBER]]
    for size in range(len(texts), 0, -1):
        if match := re.fullmatch(r"(\d+(?:\.\d+)?)(k?)", _in_digits(" ".join(texts[:size]))):
            return float(match[1]) * (1000 if match[2] else 1), size
    return None


@lru_cache(_CACHED)
def _in_digits(text: str) -> str:
    from text_to_num import alpha2digit

    return str(alpha2digit(text, "en", threshold=0))


def unit_of(text: str) -> str:
    """The unit that a word names, in the singular; empty if it names none.

    >>> unit_of("hours"), unit_of("kg"), unit_of("orders")
    ('hour', 'kg', '')
    """
    return next((name for name in (text, text.removesuffix("s")) if name in UNITS), "")


def convert(value: float, unit: str, into: str) -> float | None:
    """A value in another unit of the same kind; None if the kinds differ.

    >>> convert(20, "euro", "cent"), convert(1, "kg", "hour")
    (2000.0, None)
    """
    (kind, size), (other_kind, other_size) = UNITS[unit], UNITS[into]
    return round(value * size / other_size, 9) if kind == other_kind else None
