"""Finds dates, amounts, currencies, times and numbers in text, and normalizes them.

    [value.raw for value in find_dates("12. März 2024, 14:05")]    # ["12. März 2024"]
    parse_amount("1.234,56")                                       # Decimal("1234.56")

Dates become ISO 8601, amounts Decimals, currencies ISO 4217 codes. "03/04/24" and "$" have several
readings: `context` chooses one from the evidence of the document.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from vision_app.extract.labels import squeeze

ORDERS = ("dmy", "mdy", "ymd")
# Locales whose month names are read; CLDR has them in the nominative, genitive and abbreviated.
_LOCALES = (
    "en de fr es it pt nl pl cs sk sv da nb fi ro hu tr id ms hr sl lt lv et is el ca".split()
)
_SEP = r"\s?[./\-–,]\s?"
_NUMERIC = re.compile(
    rf"(?<![\d.,/\-])(?:(\d{{4}}){_SEP}(\d{{1,2}}){_SEP}(\d{{1,2}})|(\d{{1,2}}){_SEP}(\d{{1,2}}){_SEP}(\d{{4}}(?!:\d)|\d{{2}}))"
    r"(?:(?=\d{1,2}:\d\d)|(?!\d|[.,/]\d|-\d+(?!\d*[./\-]\d)))"
)
_CJK = re.compile(r"(\d{4})\s?年\s?(\d{1,2})\s?月\s?(\d{1,2})\s?日?")
_COMPACT = re.compile(r"(?<!\d)(20\d\d)(0[1-9]|1[0-2])([0-2]\d|3[01])(?!\d)")
_DAY = r"(?<!\d)(\d{1,2})(?:st|nd|rd|th|er|ero|re|º|°|\.)?"
_MONTH = r"([^\W\d_]{3,12})\.?"
_YEAR = r"(\d{4}|['’]?\d{2})(?![\d.,:]\d|\d)"
_JOIN = r"[\s,./\-–]*(?:(?:of|de|del|di|d['’e]|a|den|the)\s?(?![^\W\d_]))?[\s,./\-–]*"
_NAMED = (
    ("dmy", re.compile(rf"{_DAY}{_JOIN}{_MONTH}{_JOIN}{_YEAR}", re.I)),
    (
        "mdy",
        re.compile(
            rf"(?<![^\W\d_]){_MONTH}[\s.\-]*(\d{{1,2}})(?:st|nd|rd|th)?[\s,.\-/'’]+{_YEAR}", re.I
        ),
    ),
    (
        "ymd",
        re.compile(
            rf"(?<!\d)(\d{{4}})[.,\s\-/]*(?:m\.\s?)?{_MONTH}[\s\-/]*(\d{{1,2}})(?!\d)", re.I
        ),
    ),
)
_AMOUNT = re.compile(
    # Behind a letter only with two decimals, or if the letters are a currency: "Rp47.410".
    r"(?<![\d.,:/])(?<!\w-)(?:(?<![^\W\d_])|(?<=\bR[psM])|(?=[\d.,'’ ]*\d[.,]\d\d(?!\d)))"
    r"(\d{1,3}(?:(?P<sep>[.,'’ ])\d{3})(?:(?P=sep)\d{3})*(?:[.,]\s?\d{1,2})?(?!\d)"
    r"|\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d{2})?"  # 1,23,456.00 in India
    r"|\d+[.,]\s?\d{2}(?!\d)|\d+[.,](?=\s?[-–—])|\d+)"
    r"(?!\s?%|[.,:/]\d|\d)"
)
_MINUS_BEFORE = re.compile(r"[-–−(]\s?(?:[^\d\s]{1,4}\s?)?$")
_MINUS_AFTER = re.compile(r"^[-–−](?![\d–−-])(?=\W|$|[A-Z]{3})|^\s?\)")
_TIME = re.compile(
    r"(?<![\d:.])([01]?\d|2[0-3])[:.h]([0-5]\d)(?![.\d]\d)(?::?([0-5]\d))?\s?([ap]\.?m\b)?", re.I
)
_NUMBER_CORE = r"[A-Za-z0-9]*\d[A-Za-z0-9]*"
_NUMBER = re.compile(
    r"(?<![\w/\-])(?<!\d\.)(?:[A-Z]{1,6}\.?[ ](?=(?:[A-Z]{1,3}[/\-])?\d))?(?:[A-Z]{1,5}[-/.]\s?)*"
    rf"(?:[A-Za-z0-9]+(?:\s?[-–/_\\]\s?|\.))*"
    rf"{_NUMBER_CORE}(?:(?:\s?[-–/_\\]\s?|\.)[A-Za-z0-9]+)*(?:[ ]\d{{2,6}}(?![\w.,:]))*"
)

# Codes that count anywhere; others, which may be words ("ALL", "TRY"), next to a number only.
MAIN_CODES = frozenset(
    "EUR USD GBP CHF JPY CNY INR CAD AUD NZD SGD HKD SEK NOK DKK PLN CZK HUF RON MYR IDR THB BRL"
    " MXN ZAR AED TWD KRW ILS".split()
)


@dataclass(frozen=True)
class Value:
    """A value of a text, from character `start` to `end`.

    `readings` are the possible values: of a date by the order of its parts (one of ORDERS, or "" if
    there is only one), of a currency by its ISO code, else under "".
    """

    raw: str
    start: int
    end: int
    readings: dict[str, object]


# ── dates and times ─────────────────────────────────────────────────────────────────────────


def find_dates(text: str, *, compact: bool = False) -> list[Value]:
    """The dates in `text`; with `compact` also those of the form 20240305.

    >>> [value.readings for value in find_dates("03/04/24 14:05")]
    [{'dmy': '2024-04-03', 'mdy': '2024-03-04', 'ymd': '2003-04-24'}]
    >>> [value.readings for value in find_dates("le 3 mars 2024")]
    [{'': '2024-03-03'}]
    """
    values: list[Value] = []
    for value in _dates(text, compact):
        if value.readings and not any(v.start < value.end and value.start < v.end for v in values):
            values.append(value)
    return sorted(values, key=lambda value: value.start)


def _dates(text: str, compact: bool) -> Iterator[Value]:
    for match in _CJK.finditer(text):
        yield _date_value(match, {"": match.groups()})
    for order, pattern in _NAMED:
        for match in pattern.finditer(text):
            parts = dict(zip(order, match.groups(), strict=True))
            month = month_number(parts["m"])
            if month:
                yield _date_value(match, {"": (parts["y"], str(month), parts["d"])})
    for match in _NUMERIC.finditer(text):
        year, month_, day, a, b, c = match.groups()
        if year:
            yield _date_value(match, {"": (year, month_, day)})
        else:
            orders = {"dmy": (c, b, a), "mdy": (c, a, b)}
            if len(c) == 2:
                orders["ymd"] = (a, b, c)
            yield _date_value(match, orders)
    if compact:
        for match in _COMPACT.finditer(text):
            yield _date_value(match, {"": match.groups()})


def _date_value(match: re.Match[str], parts: Mapping[str, tuple[str, ...]]) -> Value:
    readings: dict[str, object] = {}
    for order, (year, month, day) in parts.items():
        try:
            number = int(year.strip("'’"))
            value = date(number + 2000 if number < 100 else number, int(month), int(day))
        except ValueError:
            continue
        if 1990 <= value.year <= 2060:
            readings[order] = value.isoformat()
    return Value(match[0], match.start(), match.end(), readings)


@lru_cache(256)
def month_number(name: str) -> int:
    """The month with this name or abbreviation in one of many languages; 0 if there is none.

    >>> month_number("März"), month_number("janv"), month_number("Street")
    (3, 1, 0)
    """
    key = squeeze(name)
    months = _months()
    if key in months:
        return months[key]
    if len(key) >= 5:
        from rapidfuzz import fuzz, process

        best = process.extractOne(key, months.keys(), scorer=fuzz.ratio, score_cutoff=84)
        return months[best[0]] if best else 0
    return 0


@lru_cache(1)
def _months() -> dict[str, int]:
    from babel import Locale

    names: dict[str, int] = {}
    for locale in map(Locale, _LOCALES):
        for context in locale.months.values():
            for width in ("wide", "abbreviated"):
                for number, name in context[width].items():
                    key = squeeze(name)
                    if len(key) >= 3:
                        names.setdefault(key, number)
    names.update(sept=9, agu=8, ago=8, okt=10, dez=12, mrt=3, mrz=3, ene=1, dic=12, abr=4, set=9)
    return names


def find_times(text: str) -> list[Value]:
    """The times of day in `text` as HH:MM.

    >>> [value.readings for value in find_times("at 2:05 pm")]
    [{'': '14:05'}]
    """
    values = []
    for match in _TIME.finditer(text):
        hour, minute = int(match[1]), match[2]
        if match[4]:
            hour = hour % 12 + 12 * match[4].lower().startswith("p")
        values.append(
            Value(match[0].strip(), match.start(), match.end(), {"": f"{hour:02}:{minute}"})
        )
    return values


# ── amounts and currencies ──────────────────────────────────────────────────────────────────


def find_amounts(text: str) -> list[Value]:
    """The numbers in `text` that may be amounts of money, with their sign.

    >>> [value.readings[""] for value in find_amounts("EUR 1.234,56- and 3 %")]
    [Decimal('-1234.56')]
    """
    values = []
    for match in _AMOUNT.finditer(text):
        amount = parse_amount(match[0])
        if amount is None or amount >= 10**10:
            continue
        negative = _MINUS_BEFORE.search(text[: match.start()]) or _MINUS_AFTER.search(
            text[match.end() :]
        )
        if negative and "(" in negative[0] and not re.match(r"[^\w]*\)", text[match.end() :]):
            negative = None
        if negative and negative[0].strip() == ")" and "(" not in text[: match.start()]:
            negative = None
        before = text[: match.start()].rstrip()
        if (
            negative
            and negative.start()
            and negative[0][0] in "-–"
            and before[:-1].strip()[-1:].isdigit()
        ):
            negative = None  # a range
        if match[0][-1] in ".,":
            negative = None  # 12.- in Switzerland is 12.00
        values.append(
            Value(match[0], match.start(), match.end(), {"": -amount if negative else amount})
        )
    return values


def parse_amount(text: str) -> Decimal | None:
    """The number that `text` writes, with either decimal separator; None if it writes none.

    A separator before exactly three digits separates thousands, before one or two the decimals.

    >>> [str(parse_amount(x)) for x in ("1.234,56", "1 234.5", "1'200", "12.345", "1,23,456.00")]
    ['1234.56', '1234.5', '1200', '12345', '123456.00']
    """
    from price_parser import Price

    match = re.search(r"([.,])\s?(\d{1,2})?$", text.strip())
    separator = match[1] if match else ("," if text.count(".") else ".")
    number = text.replace(" ", "").rstrip(".,")
    amount: Decimal | None = Price.fromstring(number, decimal_separator=separator).amount
    return amount


def find_currencies(text: str) -> list[Value]:
    """The currency codes and symbols in `text`; a symbol of several currencies has all readings.

    >>> [list(value.readings) for value in find_currencies("Total: US$ 5 or 4,50 EUR")]
    [['USD'], ['EUR']]
    """
    values = []
    for match in _currency_pattern().finditer(text):
        raw = match[0].strip()
        code = raw.upper()
        near = re.search(r"[\d(\[]\s?$", text[: match.start()]) or re.match(
            r"\s?[\d)\]\-]", text[match.end() :]
        )
        is_code = code in MAIN_CODES or (near is not None and code in _codes())
        codes = _symbols().get(raw) or ((code,) if is_code else ())
        if codes:
            start = match.end() - len(raw)
            values.append(Value(raw, start, match.end(), {code: code for code in codes}))
    return values


@lru_cache(1)
def _symbols() -> dict[str, list[str]]:
    return tomllib.loads(Path(__file__).with_name("currencies.toml").read_text("utf-8"))


@lru_cache(1)
def _codes() -> frozenset[str]:
    from babel import Locale
    from babel.numbers import get_territory_currencies

    territories = [str(code) for code in Locale("en").territories if len(str(code)) == 2]
    return frozenset(c for country in territories for c in get_territory_currencies(country))


@lru_cache(1)
def _currency_pattern() -> re.Pattern[str]:
    # Letters count as a symbol next to a number only: "R" and "kr" occur in words.
    symbols = sorted(_symbols(), key=len, reverse=True)
    marks = [re.escape(s) for s in symbols if not s[0].isalpha() or s[-1] in "$¥"]
    words = [re.escape(s) for s in symbols if s[0].isalpha() and s[-1] not in "$¥"]
    number = r"[-–(]?\s?\d"
    return re.compile(
        rf"(?<![^\W\d_])(?:{'|'.join(words)})(?=[.:]?\s?{number})"
        rf"|(?<=[(\[])(?:{'|'.join(words)})(?=[)\]])|^(?:RM|Rs\.?|Rp\.?|kr\.?|zł|Kč)$"
        rf"|(?<=\d)\s?(?:{'|'.join(words)})(?![^\W\d_])"
        rf"|(?<=[\d\-–])\s(?:{'|'.join(words)})(?![^\W\d_])"
        rf"|(?<![A-Za-z])(?:{'|'.join(m for m in marks if m[0].isalpha())})"
        rf"|(?:{'|'.join(m for m in marks if not m[0].isalpha())})"
        r"|EUR(?=\s?\d)|(?<![^\W\d_])[A-Z]{3}(?![^\W\d_])"
        r"|\bRs\.(?=\s?[A-Z])|\b(?:Rupees|RUPEES|Ringgit|RINGGIT)\b|(?<=\d)(?:Eur|eur)\b|\b(?:Euros?|Eur|EURO)\b"
    )


# ── numbers of documents ────────────────────────────────────────────────────────────────────


def find_numbers(text: str) -> list[Value]:
    """The runs with a digit that may be a document's number.

    >>> [value.raw for value in find_numbers("INV-2024-0815 and A-17")]
    ['INV-2024-0815', 'A-17']
    """
    values = []
    for match in _NUMBER.finditer(text):
        raw = match[0].strip(" -–.,/_")
        start = match.start() + match[0].index(raw) if raw else match.start()
        if 1 <= len(raw) <= 30 and not re.fullmatch(r"\d{1,3}[xX×]", raw):
            values.append(
                Value(raw, start, start + len(raw), {"": re.sub(r"\s?([-–/._\\])\s?", r"\1", raw)})
            )
    return values
