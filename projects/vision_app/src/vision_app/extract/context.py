"""What the whole document tells about its country, to decide between readings of a value.

    context = Context.of(text, languages)
    context.currency(("USD", "CAD", "AUD"))   # "CAD" on a page with a Canadian postcode
    context.date(value)                       # "2024-03-04" of "03/04/24" on an American page

The evidence is in `countries.toml`: addresses, VAT ids, bank accounts, telephone codes, domains and
names of taxes. The language decides only where it is spoken in few countries.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vision_app.extract.labels import squeeze
from vision_app.extract.values import Value, find_currencies, find_dates

_DOMAIN = re.compile(r"(?:[@.]|www\.)[\w\-]+\.(?:(?:com?|org|net)\.)?([a-z]{2})(?![\w.])", re.I)
_PHONE = re.compile(r"(?:\+|(?<![\d.,])00(?=[1-9]))(\d{1,3})(?=[\d\s()./\-]{6})")
_SPEAKERS = {"sv": "SE", "da": "DK NO", "fi": "FI", "pl": "PL", "cs": "CZ", "hu": "HU", "tr": "TR",
             "ro": "RO", "ja": "JP", "de": "DE", "fr": "FR", "it": "IT",
             "es": "ES", "nl": "NL"}  # fmt: skip
_NORWEGIAN = re.compile(r"\b(?:mva|kjøp|beløp|faktura ?nummer|forfall|innen)\b", re.I)
_MONTH_FIRST = {"US", "PH"}
_YEAR_FIRST = {"JP", "CN", "TW", "HU", "SE"}


@dataclass(frozen=True)
class Context:
    """`countries` maps ISO codes to the weight of their evidence; `order` is that of dates."""

    countries: Mapping[str, float]
    order: str
    currencies: frozenset[str]

    @classmethod
    def of(cls, text: str, languages: Mapping[str, float]) -> Context:
        """The context of a text in which labels of these `languages` were found (how many)."""
        countries = _countries(text, languages)
        values = [value for line in text.splitlines() for value in find_currencies(line)]
        codes = frozenset(code for v in values if len(v.readings) == 1 for code in v.readings)
        return cls(countries, _order(text, countries, values, languages), codes)

    def date(self, value: Value) -> str:
        """The reading of a date in the document's order of day, month and year."""
        readings = value.readings
        for order in (self.order, "", "dmy", "mdy", "ymd"):
            if order in readings:
                return str(readings[order])
        raise ValueError(f"no reading of {value.raw!r}")

    def currency(self, codes: Iterable[str]) -> str | None:
        """The currency of `codes` with the best evidence; None without any (of "kr")."""
        codes = list(codes)
        if len(codes) == 1:
            return codes[0]
        weights = {code: 2.0 for code in self.currencies if code in codes}
        for country, weight in self.countries.items():
            for code in _currencies_of(country):
                weights[code] = weights.get(code, 0.0) + weight
        best = max((code for code in codes if code), key=lambda code: weights.get(code, 0.0))
        return best if weights.get(best) else codes[0] or None


def _countries(text: str, languages: Mapping[str, float]) -> dict[str, float]:
    weights: dict[str, float] = {}

    def add(country: str, weight: float) -> None:
        weights[country] = weights.get(country, 0.0) + weight

    squeezed = squeeze(text)
    for country, pattern, words in _evidence():
        if pattern is not None and pattern.search(text):
            add(country, 1.0)
        if any(word in squeezed for word in words):
            add(country, 1.0)
    for match in _DOMAIN.finditer(text):
        add({"UK": "GB"}.get(match[1].upper(), match[1].upper()), 1.0)
    for match in _PHONE.finditer(text):
        for code in (match[1], match[1][:2], match[1][:1]):
            if code in _phones():
                add(_phones()[code], 1.0)
                break
    total = sum(languages.values())
    for language, count in languages.items():
        for country in _SPEAKERS.get(language, "").split():
            if count > 0.3 * total:
                add(country, 0.4 + 0.1 * (country == "NO" and bool(_NORWEGIAN.search(text))))
    return weights


def _order(
    text: str,
    countries: Mapping[str, float],
    currencies: Sequence[Value],
    languages: Mapping[str, float],
) -> str:
    # 1. A date with only one valid order shows the order of all.
    votes = {"dmy": 0, "mdy": 0, "ymd": 0}
    for line in text.splitlines():
        for value in find_dates(line):
            if len(value.readings) == 1 and "" not in value.readings:
                votes[next(iter(value.readings))] += 1
    if any(votes.values()):
        return max(votes, key=lambda order: votes[order])
    # 2. Otherwise the custom of the country, and with "$" in English that of the United States.
    known = {k: v for k, v in countries.items() if k not in ("GB", "DE") or v > 0}
    best = max(known, key=lambda country: known[country], default="")
    if best in _MONTH_FIRST:
        return "mdy"
    if best in _YEAR_FIRST:
        return "ymd"
    dollars = any("USD" in value.readings for value in currencies)
    english = languages.get("en", 0) >= 0.5 * sum(languages.values())
    elsewhere = known.get(best, 0) >= 1
    return "mdy" if dollars and english and not elsewhere else "dmy"


def _currencies_of(country: str) -> Sequence[str]:
    from babel.numbers import get_territory_currencies

    try:
        currencies: Sequence[str] = get_territory_currencies(country)
    except Exception:  # babel knows no such country: it raises UnknownLocaleError or KeyError
        return ()
    return currencies


@lru_cache(1)
def _data() -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("countries.toml").read_text("utf-8"))


@lru_cache(1)
def _evidence() -> list[tuple[str, re.Pattern[str] | None, list[str]]]:
    return [
        (
            country,
            re.compile("|".join(entry["patterns"])) if "patterns" in entry else None,
            [squeeze(word) for word in entry.get("words", ())],
        )
        for country, entry in _data().items()
    ]


@lru_cache(1)
def _phones() -> dict[str, str]:
    return {entry["phone"]: country for country, entry in reversed(_data().items())}
