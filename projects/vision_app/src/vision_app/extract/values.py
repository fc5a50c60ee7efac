"""Finds dates, amounts, currencies, times and numbers in text, and normalizes them.

    [value.raw for value in find_dates("12. März 2024, 14:05")]    # ["12. März 2024"]
    context = Context.of(text)
    context.date(value)                       # "2024-03-04" of "03/04/24" on an American page
    context.currency(("USD", "CAD", "AUD"))   # "CAD" on a page with a Canadian postcode

Dates become ISO 8601, amounts Decimals, currencies ISO 4217 codes. "03/04/24" and "$" have several
readings, between which `Context` decides by the evidence of a country in `countries.toml`:
addresses, VAT ids, bank accounts and names of taxes.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

MAX_TEXT = 5_000  # characters of a value that a model wrote
ORDERS = ("dmy", "mdy", "ymd")
# Locales whose month names are read; CLDR has them in the nominative, genitive and abbreviated.
_LOCALES = (
    "en de fr es it pt nl pl cs sk sv da nb fi ro hu tr id ms hr sl lt lv et is el ca".split()
)
_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "ß": "ss", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "°": "o"}
)
_START, _TWO = r"(?<![\d.,/\-])", r"(\d{1,2})"
_SEP = r"\s?[./\-–,]\s?"
_END = r"(?:(?=\d{1,2}:\d\d)|(?!\d|[.,/]\d|-\d+(?!\d*[./\-]\d)))"  # a time may be glued to a date
_DAY = r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|er|ero|re|º|°|\.)?"
_MONTH = r"([^\W\d_]{3,12})\.?"
_YEAR = r"(\d{4}|['’]?\d{2})(?![\d.,:]\d|\d)"
_JOIN = r"[\s,./\-–]*(?:(?:of|de|del|di|d['’e]|a|den|the)\s?(?![^\W\d_]))?[\s,./\-–]*"
# The possible orders of the parts, and the form. Of dates that overlap the first form counts.
_DATES = [
    (orders, re.compile(form, re.I))
    for orders, form in (
        (("dmy",), _DAY + _JOIN + _MONTH + _JOIN + _YEAR),
        (("mdy",), rf"(?<![^\W\d_]){_MONTH}[\s.\-]*{_TWO}(?:st|nd|rd|th)?[\s,.\-/'’]+{_YEAR}"),
        (("ymd",), rf"(?<!\d)(\d{{4}})[.,\s\-/]*(?:m\.\s?)?{_MONTH}[\s\-/]*{_TWO}(?!\d)"),
        (("ymd",), rf"{_START}(\d{{4}}){_SEP}{_TWO}{_SEP}{_TWO}{_END}"),
        (ORDERS, rf"{_START}{_TWO}{_SEP}{_TWO}{_SEP}(\d{{4}}(?!:\d)|\d{{2}}){_END}"),
    )
]
_MARK = r"(?:_|[^\w\s%@#()€$£¥=*+])"  # may be a separator, so that an amount does not end there
_AMOUNT = re.compile(
    # Behind a letter only with two decimals, or if the letters are a currency: "Rp47.410".
    rf"(?<!\d{_MARK})(?<![\d.,:/])(?<!\w-)"
    r"(?:(?<![^\W\d_])|(?<=\bR[psM])|(?=[\d.,'’`´ ]*\d[.,]\d\d(?!\d)))"
    r"(\d{1,3}(?:(?P<sep>[.,'’`´ ])\d{3})(?:(?P=sep)\d{3})*(?:[.,]\s?\d{1,2})?(?!\d)"
    r"|\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d{2})?"  # 1,23,456.00 in India
    r"|\d+[.,]\s?\d{2}(?!\d)|\d+[.,](?=\s?[-–—])|\d+)"
    rf"(?!{_MARK}\d)"
    r"(?!\s?%|\d|\s?(?:kg|g|lb|oz|l|ml|cl|km|kWh|m²|m³)(?![^\W\d_]))"
)
_TIME = re.compile(
    r"(?<![\d:.])([01]?\d|2[0-3])[:.h]([0-5]\d)(?![.\d]\d)(?::?([0-5]\d))?\s?([ap]\.?m\b)?", re.I
)
_NUMBER = re.compile(
    r"(?<![\w/\-])(?<!\d\.)(?:[A-Z]{1,6}\.?[ ](?=(?:[A-Z]{1,3}[/\-])?\d))?(?:[A-Z]{1,5}[-/.]\s?)*"
    r"(?:[A-Za-z0-9]+(?:\s?[-–/_\\]\s?|\.))*[A-Za-z0-9]*\d[A-Za-z0-9]*"
    r"(?:(?:\s?[-–/_\\]\s?|\.)[A-Za-z0-9]+)*(?:[ ]\d{2,6}(?![\w.,:]))*"
)
# Codes that count anywhere; others, which may be words ("ALL", "TRY"), next to a number only.
_MAIN_CODES = frozenset(
    "EUR USD GBP CHF JPY CNY INR CAD AUD NZD SGD HKD SEK NOK DKK PLN CZK HUF RON MYR IDR THB BRL"
    " MXN ZAR AED TWD KRW ILS".split()
)
_CUSTOM = {"US": "mdy", "PH": "mdy", **dict.fromkeys(("JP", "CN", "TW", "HU", "SE"), "ymd")}


@dataclass(frozen=True)
class Value:
    """A value of a text, from character `start` to `end`.

    `readings` are the possible values: of a date by the order of its parts (one of ORDERS, or "" if
    there is only one), of a currency by its ISO code, else under "".
    """

    raw: str
    start: int
    end: int
    readings: Mapping[str, object]


def squeeze(text: str) -> str:
    """Lower case letters and digits without accents; what labels are compared by.

    >>> squeeze("Fällig am:"), squeeze("Facture N° ")
    ('falligam', 'factureno')
    """
    text = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS)).translate(_LETTERS)
    return "".join(c for c in text if c.isalnum() or c == "#")


def clean(text: str) -> str:
    """What a model wrote, stripped; half a surrogate pair, which JSON must not contain, is a "?".

    Only the first MAX_TEXT characters are kept.

    >>> clean(" A\\ud800 ")
    'A?'
    """
    return text[:MAX_TEXT].encode("utf-8", "replace").decode().strip()


# ── dates and times ─────────────────────────────────────────────────────────────────────────


def find_dates(text: str, *, years: range = range(1990, 2061)) -> list[Value]:
    """The dates in `text` within these `years`.

    >>> [value.readings for value in find_dates("03/04/24 14:05")]
    [{'dmy': '2024-04-03', 'mdy': '2024-03-04', 'ymd': '2003-04-24'}]
    >>> [value.readings for value in find_dates("le 3 mars 2024")]
    [{'': '2024-03-03'}]
    """
    values: list[Value] = []
    for orders, form in _DATES:
        for match in form.finditer(text):
            readings: dict[str, object] = {}
            for order in orders:
                if day := _to_date(years, **dict(zip(order, match.groups(), strict=True))):
                    readings[order if len(orders) > 1 else ""] = day
            start, end = match.span()
            if readings and not any(v.start < end and start < v.end for v in values):
                values.append(Value(match[0], start, end, readings))
    return sorted(values, key=lambda value: value.start)


def _to_date(years: range, y: str, m: str, d: str) -> str | None:
    year = int(y.strip("'’"))
    try:
        month = int(m) if m.isdigit() else _months().get(squeeze(m), 0)
        day = date(year + 2000 if year < 100 else year, month, int(d))
    except ValueError:
        return None
    return day.isoformat() if day.year in years else None


@lru_cache(1)
def _months() -> dict[str, int]:
    from babel import Locale

    names = {
        squeeze(name): number
        for locale in map(Locale, reversed(_LOCALES))
        for forms in locale.months.values()
        for width in ("wide", "abbreviated")
        for number, name in forms[width].items()
        if len(squeeze(name)) >= 3
    }
    names.update(sept=9, agu=8, ago=8, okt=10, dez=12, mrt=3, mrz=3, ene=1, dic=12, abr=4, set=9)
    return names


def find_times(text: str) -> list[Value]:
    """The times of day in `text` as HH:MM.

    >>> [value.readings for value in find_times("at 2:05 pm")]
    [{'': '14:05'}]
    """
    values = []
    for match in _TIME.finditer(text):
        hour = int(match[1])
        if match[4]:
            hour = hour % 12 + 12 * match[4].lower().startswith("p")
        reading = {"": f"{hour:02}:{match[2]}"}
        values.append(Value(match[0].strip(), match.start(), match.end(), reading))
    return values


# ── amounts, currencies and numbers ─────────────────────────────────────────────────────────


def find_amounts(text: str) -> list[Value]:
    """The numbers in `text` that may be amounts of money, with their sign.

    >>> [value.readings[""] for value in find_amounts("EUR 1.234,56- and 3 %")]
    [Decimal('-1234.56')]
    """
    values = []
    for match in _AMOUNT.finditer(text):
        start, end = match.span()
        amount = parse_amount(match[0])
        if amount is not None and amount < 10**10:
            sign = -1 if _is_negative(text[:start], match[0], text[end:]) else 1
            values.append(Value(match[0], start, end, {"": sign * amount}))
    return values


def _is_negative(before: str, number: str, after: str) -> bool:
    """Whether there is a minus on either side of a number, or brackets are around it."""
    if number[-1] in ".,":
        return False  # 12.- in Switzerland is 12.00
    sign = re.search(r"([-–−(])\s?(?:[^\d\s]{1,4}\s?)?$", before)
    if sign and sign[1] == "(":
        return re.match(r"[^\w]*\)", after) is not None
    if sign:
        return not re.search(r"\d\s*[-–]\s*$", before)  # a range
    return re.match(r"[-–−](?![\d–−-])(?=\W|$|[A-Z]{3})", after) is not None


def parse_amount(text: str) -> Decimal | None:
    """The number that `text` writes, with either decimal separator; None if it writes none.

    A separator before exactly three digits separates thousands, before one or two the decimals;
    behind a zero it is always that of the decimals.

    >>> [str(parse_amount(x)) for x in ("1.234,56", "1 234.5", "1'200", "12.345", "1,23,456.00")]
    ['1234.56', '1234.5', '1200', '12345', '123456.00']
    """
    number = re.sub(r"[^\d.,]", "", text).rstrip(".,")
    match = re.search(r"[.,](\d{1,2})$|(?<=^0)[.,](\d+)$", number)
    whole, decimals = (number[: match.start()], match[1] or match[2]) if match else (number, "")
    digits = re.sub(r"\D", "", whole)
    return Decimal(f"{digits}.{decimals}" if decimals else digits) if digits else None


def find_currencies(text: str) -> list[Value]:
    """The currency codes and symbols in `text`; a symbol of several currencies has all readings.

    >>> [list(value.readings) for value in find_currencies("Total: US$ 5 or 4,50 EUR")]
    [['USD'], ['EUR']]
    """
    values = []
    for match in _currency_form().finditer(text):
        raw, end = match[0].strip(), match.end()
        code = raw.upper()
        at_number = re.search(r"[\d(\[]\s?$", text[: match.start()])
        at_number = at_number or re.match(r"\s?[\d)\]\-]", text[end:])
        is_code = code in _MAIN_CODES or (at_number and code in _codes())
        codes = _symbols().get(raw) or ([code] if is_code else [])
        if codes:
            values.append(Value(raw, end - len(raw), end, {code: code for code in codes}))
    return values


@lru_cache(1)
def _symbols() -> dict[str, list[str]]:
    return tomllib.loads(Path(__file__).with_name("currencies.toml").read_text("utf-8"))


@lru_cache(1)
def _codes() -> frozenset[str]:
    from babel import Locale
    from babel.numbers import get_territory_currencies

    countries = map(str, Locale("en").territories)
    return frozenset(code for country in countries for code in get_territory_currencies(country))


@lru_cache(1)
def _currency_form() -> re.Pattern[str]:
    # Letters count as a symbol next to a number only: "R" and "kr" occur in words.
    symbols = sorted(_symbols(), key=len, reverse=True)
    marks = [re.escape(s) for s in symbols if not s[0].isalpha() or s[-1] in "$¥"]
    words = "|".join(re.escape(s) for s in symbols if s[0].isalpha() and s[-1] not in "$¥")
    return re.compile(
        rf"(?<![^\W\d_])(?:{words})(?=[.:]?\s?[-–(]?\s?\d)"
        rf"|(?<=[(\[])(?:{words})(?=[)\]])|^(?:RM|Rs\.?|Rp\.?|kr\.?|zł|Kč)$"
        rf"|(?<=\d)\s?(?:{words})(?![^\W\d_])|(?<=[\d\-–])\s(?:{words})(?![^\W\d_])"
        rf"|(?<![A-Za-z])(?:{'|'.join(m for m in marks if m[0].isalpha())})"
        rf"|(?:{'|'.join(m for m in marks if not m[0].isalpha())})"
        r"|EUR(?=\s?\d)|(?<![^\W\d_])[A-Z]{3}(?![^\W\d_])|\bRs\.(?=\s?[A-Z])"
        r"|\b(?:Rupees|RUPEES|Ringgit|RINGGIT|Euros?|Eur|EURO)\b|(?<=\d)(?:Eur|eur)\b"
    )


def find_numbers(text: str) -> list[Value]:
    """The runs with a digit that may be a document's number.

    >>> [value.raw for value in find_numbers("INV-2024-0815 and A-17")]
    ['INV-2024-0815', 'A-17']
    """
    values = []
    for match in _NUMBER.finditer(text):
        raw = match[0].strip(" -–.,/_")
        if 1 <= len(raw) <= 30 and not re.fullmatch(r"\d{1,3}[xX×]", raw):
            start = match.start() + match[0].index(raw)
            reading = {"": re.sub(r"\s?([-–/._\\])\s?", r"\1", raw)}
            values.append(Value(raw, start, start + len(raw), reading))
    return values


# ── the country ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Context:
    """The `order` of dates, `is_dated` if the page proves it, and the `weights` of currencies."""

    order: str = "dmy"
    is_dated: bool = False
    weights: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> Context:
        """The context of all text of a document."""
        from babel.numbers import get_territory_currencies

        countries = _countries(text)
        country = max(countries, key=countries.__getitem__, default="")
        codes = [value.readings for line in text.splitlines() for value in find_currencies(line)]
        # 1. A date with only one valid order shows the order of all; else the country's custom, and
        # with "$" that of the United States.
        dates = [value.readings for line in text.splitlines() for value in find_dates(line)]
        votes = [order for r in dates if len(r) == 1 and "" not in r for order in r]
        dollars = not countries and any("USD" in readings for readings in codes)
        custom = _CUSTOM.get(country, "mdy" if dollars else "dmy")
        order = max(ORDERS, key=votes.count) if votes else custom
        # 2. A currency whose code is on the page, or that of a country.
        weights = {code: 2.0 for readings in codes if len(readings) == 1 for code in readings}
        for name, weight in countries.items():
            for code in get_territory_currencies(name):
                weights[code] = weights.get(code, 0.0) + weight
        return cls(order, bool(votes) or countries.get(country, 0) >= 1, weights)

    def date(self, value: Value) -> str:
        """The reading of a date in the document's order of day, month and year."""
        orders = (self.order, "", *ORDERS)
        return next(str(value.readings[order]) for order in orders if order in value.readings)

    def currency(self, codes: Iterable[str]) -> str | None:
        """The currency of `codes` with the best evidence; None without any (of "kr").

        "$" without evidence is the US dollar, but not on a page of a country with another currency.
        """
        codes = list(codes)
        best = max(filter(None, codes), key=lambda code: self.weights.get(code, 0.0))
        foreign = max(self.weights.values(), default=0.0) >= 1
        return best if self.is_sure_of(codes) else None if foreign else codes[0] or None

    def is_sure_of(self, codes: Iterable[str]) -> bool:
        """Whether the page shows which of several currencies is meant."""
        codes = list(codes)
        return len(codes) == 1 or any(self.weights.get(code) for code in codes)


def _countries(text: str) -> dict[str, float]:
    """The countries whose patterns and words are in a text, with the weight of their evidence."""
    squeezed = squeeze(text)
    weights: dict[str, float] = {}
    for country, entry in _data().items():
        has_pattern = any(re.search(pattern, text) for pattern in entry.get("patterns", ()))
        has_word = any(squeeze(word) in squeezed for word in entry.get("words", ()))
        if has_pattern or has_word:
            weights[country] = has_pattern + has_word
    return weights


@lru_cache(1)
def _data() -> dict[str, dict[str, Any]]:
    return tomllib.loads(Path(__file__).with_name("countries.toml").read_text("utf-8"))
